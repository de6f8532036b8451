"""The log of a training: a progress bar or lines, and optionally curves for TensorBoard."""

import importlib
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from torch import Tensor

from stylebeam.transforms.training.clock import Clock
from stylebeam.transforms.training.loop_config import ConfigValueError


class Validation(NamedTuple):
    """Results of a model on held-out images.

    Attributes:
        terms: the terms of the loss, by name.
        pictures: RGB in [0, 1], shape (B, 3, H, W).
    """

    terms: Mapping[str, Tensor]
    pictures: Tensor


class TrainingLog:
    """Shows the progress of a training: a bar if standard error is a terminal, otherwise lines."""

    def __init__(
        self, report: Callable[[str], None], tensorboard: Path | None, fraction: float
    ) -> None:
        """Open the log. Close it when the training ends or fails: a bar hides the cursor.

        Args:
            report: receives lines.
            tensorboard: the folder where TensorBoard finds curves and pictures; it is created.
            fraction: the part of the training that is done already, from 0 to 1.

        Raises:
            ConfigValueError: the package tensorboard is not installed.
        """
        self._report = report
        self._writer = _writer(tensorboard) if tensorboard else None
        self._bar = _progress_bar(Console(stderr=True))
        self._task = self._bar.add_task("", total=1.0)
        self._bar.update(self._task, completed=min(fraction, 1.0))
        self._bar.start()

    def iteration(self, clock: Clock, terms: Mapping[str, Tensor]) -> None:
        """Report the progress and the loss of an iteration."""
        if self._bar.disable:
            self._report(f"{clock}; loss {_sum_of(terms)}")
        else:
            progress = (
                f"{_clock_time(clock.seconds)} elapsed, {_clock_time(clock.seconds_left)} left,"
                f" iteration {clock.done}, loss {_total(terms):.3f}"
            )
            completed = min(clock.fraction, 1.0)
            self._bar.update(self._task, completed=completed, description=progress, refresh=True)
        self._add_scalars(clock.done, "loss", terms)

    def validation(self, clock: Clock, validation: Validation) -> None:
        """Report the loss on held-out images."""
        self._report(f"held-out loss {_sum_of(validation.terms)}")
        self._add_scalars(clock.done, "held-out loss", validation.terms)
        if self._writer:
            self._writer.add_images("held out", validation.pictures.clamp(0, 1), clock.done)

    def close(self) -> None:
        """Stop the bar, and write what is not written yet."""
        self._bar.stop()
        if self._writer:
            self._writer.close()

    def _add_scalars(self, iteration: int, name: str, terms: Mapping[str, Tensor]) -> None:
        if self._writer:
            self._writer.add_scalar(name, _total(terms), iteration)
            for term, value in terms.items():
                self._writer.add_scalar(f"{name}: {term}", value.item(), iteration)


def _progress_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.percentage:3.0f}%"),
        BarColumn(bar_width=None),
        TextColumn("{task.description}", markup=False),
        console=console,
        disable=not console.is_interactive,
        auto_refresh=False,
        expand=True,
        # Printed lines appear above the bar, unless standard output goes to a file or a pipe.
        redirect_stdout=sys.stdout.isatty(),
    )


def _writer(folder: Path) -> Any:
    try:
        # Imported here since the package is optional.
        tensorboard = importlib.import_module("torch.utils.tensorboard")
    except ImportError as error:
        raise ConfigValueError(
            "tensorboard: the package of that name is not installed: pip install tensorboard."
        ) from error
    return tensorboard.SummaryWriter(str(folder))


def _clock_time(seconds: float) -> str:
    """Return a time as hours, minutes and seconds, such as 0:03:20."""
    return str(timedelta(seconds=round(seconds)))


def _total(terms: Mapping[str, Tensor]) -> float:
    return torch.stack(list(terms.values())).sum().item()


def _sum_of(terms: Mapping[str, Tensor]) -> str:
    parts = " + ".join(f"{name} {term.item():.3f}" for name, term in terms.items())
    return f"{_total(terms):.3f} = {parts}"
