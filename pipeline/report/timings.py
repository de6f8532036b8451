"""How long images took: a histogram, and what it says in figures."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_MOST_BARS = 40
_MOST_TICKS = 6


class Bar(NamedTuple):
    """How many images took a span of time.

    Attributes:
        start: of the span, in seconds; it belongs to it.
        end: of the span, which does not; None for all that took longer.
        images: how many.
    """

    start: float
    end: float | None
    images: int


class Timings(NamedTuple):
    """How long images took.

    Attributes:
        bars: side by side, from 0 seconds on, all of the same span but perhaps the last.
        median: seconds within which a half of the images was done.
        high: seconds within which 95 of 100 were.
    """

    bars: tuple[Bar, ...]
    median: float
    high: float

    @property
    def ticks(self) -> range:
        """The few bars whose starts are to be labelled, by their places."""
        count = len(self.bars)
        step = next(each for each in _round_numbers() if count <= each * _MOST_TICKS)
        return range(0, count, step)


def time_images(seconds: Sequence[float]) -> Timings:
    """Return how long images took.

    Images that took more than twice as long as 95 of 100, such as the first, which waits for the
    network, share the last bar.

    Args:
        seconds: for each image, at least one, in any order.
    """
    times = sorted(round(1000 * each) for each in seconds)
    high = times[math.ceil(0.95 * len(times)) - 1]
    end = max(1, min(times[-1], 2 * high))
    width = next(each for each in _round_numbers() if end < each * _MOST_BARS)
    last = end // width
    counts = Counter(min(time // width, last + 1) for time in times)
    bars = [
        Bar(place * width / 1000, (place + 1) * width / 1000, counts[place])
        for place in range(last + 1)
    ]
    if counts[last + 1]:
        bars.append(Bar((last + 1) * width / 1000, None, counts[last + 1]))
    return Timings(tuple(bars), times[(len(times) - 1) // 2] / 1000, high / 1000)


def _round_numbers() -> Iterator[int]:
    """Yield 1, 2, 5, 10, 20, 50 and so on."""
    power = 1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10
