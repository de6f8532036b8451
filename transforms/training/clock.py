"""How far a training is, and the learning rate that belongs to it."""

import math
import time
from collections.abc import Iterator

from torch import Tensor

from stylebeam.transforms.training.loop_recipe import LoopRecipe

_WARM_UP = 0.1
_FIRST_RATE = 1 / 25


def one_cycle(fraction: float) -> float:
    """Return the learning rate after a fraction of the training, relative to its peak.

    It rises along a cosine for the first tenth, and falls along a cosine to 0 (Smith and Topin
    2018, "Super-Convergence").
    """
    if fraction < _WARM_UP:
        return _FIRST_RATE + (1 - _FIRST_RATE) * (1 - math.cos(math.pi * fraction / _WARM_UP)) / 2
    return (1 + math.cos(math.pi * (fraction - _WARM_UP) / (1 - _WARM_UP))) / 2


class Clock:
    """How far a training is, by iterations or by time, as of the end of the last iteration.

    Attributes:
        done: iterations.
        seconds: time spent, that of earlier processes included.
        fraction: of the training, from 0 to 1 or, by time, a little more.
    """

    def __init__(self, recipe: LoopRecipe, done: int, seconds: float) -> None:
        self._recipe = recipe
        self._first = done
        self._earlier = seconds
        self._started = time.monotonic()
        self._waited = 0.0
        self.done = done
        self.seconds = seconds
        self.fraction = self._fraction()

    def waiting_for(self, batches: Iterator[Tensor]) -> Iterator[Tensor]:
        """Yield batches, and take note of how long each was waited for."""
        while True:
            asked = time.perf_counter()
            batch = next(batches)
            self._waited += time.perf_counter() - asked
            yield batch

    def tick(self) -> None:
        """Take note of the end of an iteration."""
        self.done += 1
        self.seconds = self._earlier + time.monotonic() - self._started
        self.fraction = self._fraction()

    def _fraction(self) -> float:
        if self._recipe.minutes is not None:
            return self.seconds / (60 * self._recipe.minutes)
        return self.done / self._recipe.iterations

    def __str__(self) -> str:
        spent = self.seconds - self._earlier
        each = spent / (self.done - self._first)
        pace = f"{each:.2g} s an iteration ({self._waited / spent:.0%} of it waiting for data)"
        if self._recipe.minutes is not None:
            return (
                f"iteration {self.done}, {self.seconds / 60:.1f} of {self._recipe.minutes:g}"
                f" minutes: {pace}"
            )
        left = each * (self._recipe.iterations - self.done) / 60
        return f"iteration {self.done}/{self._recipe.iterations}: {pace}, {left:.1f} min left"
