"""What a training says of itself: lines of text and, where asked for, TensorBoard's curves."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from transforms.training.clock import Clock
from transforms.training.loop_recipe import RecipeError


class Judgement(NamedTuple):
    """How a model does on what it does not learn from.

    Attributes:
        terms: the terms of the loss, by name.
        pictures: RGB in [0, 1], shape (B, 3, H, W).
    """

    terms: Mapping[str, Tensor]
    pictures: Tensor


class TrainingLog:
    """Says how a training goes."""

    def __init__(self, report: Callable[[str], None], tensorboard: Path | None) -> None:
        """Open the log.

        Args:
            report: receives lines.
            tensorboard: the folder where TensorBoard is to find curves and pictures; is made where
                it is not there.

        Raises:
            RecipeError: the package tensorboard is not installed.
        """
        self._report = report
        self._writer = _writer(tensorboard) if tensorboard else None

    def iteration(self, clock: Clock, terms: Mapping[str, Tensor]) -> None:
        """Say how far the training is, and what the loss was."""
        self._report(f"{clock}; loss {_sum_of(terms)}")
        self._curves(clock.done, "loss", terms)

    def judgement(self, clock: Clock, judgement: Judgement) -> None:
        """Say what the loss is on what is held out."""
        self._report(f"held-out loss {_sum_of(judgement.terms)}")
        self._curves(clock.done, "held-out loss", judgement.terms)
        if self._writer:
            self._writer.add_images("held out", judgement.pictures.clamp(0, 1), clock.done)

    def close(self) -> None:
        """Write what is not written yet."""
        if self._writer:
            self._writer.close()

    def _curves(self, iteration: int, name: str, terms: Mapping[str, Tensor]) -> None:
        if self._writer:
            self._writer.add_scalar(name, _total(terms), iteration)
            for term, value in terms.items():
                self._writer.add_scalar(f"{name}: {term}", value.item(), iteration)


def _writer(folder: Path) -> Any:
    try:
        # Only now: the package is optional.
        tensorboard = importlib.import_module("torch.utils.tensorboard")
    except ImportError as error:
        raise RecipeError(
            "tensorboard: the package of that name is not installed: pip install tensorboard."
        ) from error
    return tensorboard.SummaryWriter(str(folder))


def _total(terms: Mapping[str, Tensor]) -> float:
    return torch.stack(list(terms.values())).sum().item()


def _sum_of(terms: Mapping[str, Tensor]) -> str:
    parts = " + ".join(f"{name} {term.item():.3f}" for name, term in terms.items())
    return f"{_total(terms):.3f} = {parts}"
