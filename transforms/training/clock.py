"""Progress of a training, and the learning-rate schedule."""

import math
import time
from collections.abc import Iterator

from torch import Tensor

from stylebeam.transforms.training.loop_config import LoopConfig

_WARM_UP = 0.1
_INITIAL_RATE = 1 / 25


def one_cycle(fraction: float) -> float:
    """Return the learning rate after a fraction of the training, relative to its peak.

    It rises along a cosine during the first tenth and falls along a cosine to 0 (Smith and Topin
    2018, "Super-Convergence").
    """
    if fraction < _WARM_UP:
        rise = (1 - math.cos(math.pi * fraction / _WARM_UP)) / 2
        return _INITIAL_RATE + (1 - _INITIAL_RATE) * rise
    return (1 + math.cos(math.pi * (fraction - _WARM_UP) / (1 - _WARM_UP))) / 2


class Clock:
    """Progress of a training in iterations and in time, as of the end of the last iteration.

    Attributes:
        done: the number of iterations.
        seconds: the time spent on the training, by earlier processes too.
        fraction: the part of the training that is done, from 0 to 1. It may exceed 1 if the length
            is given in minutes.
    """

    def __init__(self, config: LoopConfig, done: int, seconds: float) -> None:
        """Start the clock.

        Args:
            config: says how long the training is.
            done: the number of iterations that earlier processes did.
            seconds: the time that they spent.
        """
        self._config = config
        self._first = done
        self._earlier = seconds
        self._started = time.monotonic()
        self._waited = 0.0
        self.done = done
        self.seconds = seconds
        self.fraction = self._fraction()

    def waiting_for(self, batches: Iterator[Tensor]) -> Iterator[Tensor]:
        """Yield batches, and record the time spent waiting for each."""
        while True:
            asked = time.perf_counter()
            batch = next(batches)
            self._waited += time.perf_counter() - asked
            yield batch

    def tick(self) -> None:
        """Record the end of an iteration."""
        self.done += 1
        self.seconds = self._earlier + time.monotonic() - self._started
        self.fraction = self._fraction()

    @property
    def seconds_left(self) -> float:
        """The estimated time until the training ends; needs an iteration of this process."""
        if self._config.minutes is not None:
            return max(0.0, 60 * self._config.minutes - self.seconds)
        return self._seconds_per_iteration() * (self._config.iterations - self.done)

    def _fraction(self) -> float:
        if self._config.minutes is not None:
            return self.seconds / (60 * self._config.minutes)
        return self.done / self._config.iterations

    def _seconds_per_iteration(self) -> float:
        return (self.seconds - self._earlier) / (self.done - self._first)

    def __str__(self) -> str:
        waited = self._waited / (self.seconds - self._earlier)
        pace = (
            f"{self._seconds_per_iteration():.2g} s an iteration ({waited:.0%} of it waiting for"
            " data)"
        )
        if self._config.minutes is not None:
            return (
                f"iteration {self.done}, {self.seconds / 60:.1f} of {self._config.minutes:g}"
                f" minutes: {pace}"
            )
        left = self.seconds_left / 60
        return f"iteration {self.done}/{self._config.iterations}: {pace}, {left:.1f} min left"
