"""What a training says of itself: a progress bar or lines, and TensorBoard's curves if wanted."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from stylebeam.transforms.training.clock import Clock
from stylebeam.transforms.training.loop_recipe import RecipeError

_BAR = "{percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left{postfix}"


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

    def __init__(
        self, report: Callable[[str], None], tensorboard: Path | None, fraction: float
    ) -> None:
        """Open the log. On a terminal, a progress bar takes the place of the lines of iterations.

        Args:
            report: receives lines.
            tensorboard: the folder where TensorBoard is to find curves and pictures; is made where
                it is not there.
            fraction: of the training that is done already, from 0 to 1.

        Raises:
            RecipeError: the package tensorboard is not installed.
        """
        self._report = report
        # disable=None is tqdm's word for: unless standard error is a terminal.
        self._bar = tqdm(total=1.0, initial=min(fraction, 1.0), disable=None, bar_format=_BAR)
        self._writer = _writer(tensorboard) if tensorboard else None

    def iteration(self, clock: Clock, terms: Mapping[str, Tensor]) -> None:
        """Say how far the training is, and what the loss was."""
        if self._bar.disable:
            self._report(f"{clock}; loss {_sum_of(terms)}")
        else:
            self._bar.set_postfix_str(f"iteration {clock.done}, loss {_total(terms):.3f}")
            self._bar.update(min(clock.fraction, 1.0) - self._bar.n)
        self._curves(clock.done, "loss", terms)

    def judgement(self, clock: Clock, judgement: Judgement) -> None:
        """Say what the loss is on what is held out."""
        with tqdm.external_write_mode():
            self._report(f"held-out loss {_sum_of(judgement.terms)}")
        self._curves(clock.done, "held-out loss", judgement.terms)
        if self._writer:
            self._writer.add_images("held out", judgement.pictures.clamp(0, 1), clock.done)

    def close(self) -> None:
        """Write what is not written yet."""
        self._bar.close()
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
