"""Statistics of the time per image: a histogram, the median and the 95th percentile."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_MAX_BARS = 40
_MAX_TICKS = 6


class Bar(NamedTuple):
    """A bar of the histogram.

    Attributes:
        start: start of the interval in seconds, inclusive.
        end: end of the interval in seconds, exclusive; None if the bar counts all longer times.
        images: number of images in the interval.
    """

    start: float
    end: float | None
    images: int


class Timings(NamedTuple):
    """Statistics of the time per image.

    Attributes:
        bars: the histogram's bars, starting at 0 seconds. All intervals have the same width; the
            last bar may have no end.
        median: median in seconds.
        high: 95th percentile in seconds.
    """

    bars: tuple[Bar, ...]
    median: float
    high: float

    @property
    def ticks(self) -> range:
        """Indices of the few bars whose start gets a label."""
        count = len(self.bars)
        step = next(number for number in _round_numbers() if count <= number * _MAX_TICKS)
        return range(0, count, step)


def compute_timings(seconds: Sequence[float]) -> Timings:
    """Return statistics of the time per image.

    Images that took more than twice the 95th percentile share the last bar. The first image is
    often one of them, because it waits until the network is loaded.

    Args:
        seconds: time of each image; at least one, in any order.
    """
    times = sorted(round(1000 * time) for time in seconds)
    high = times[math.ceil(0.95 * len(times)) - 1]
    end = max(1, min(times[-1], 2 * high))
    width = next(number for number in _round_numbers() if end < number * _MAX_BARS)
    last = end // width
    counts = Counter(min(time // width, last + 1) for time in times)
    bars = [
        Bar(index * width / 1000, (index + 1) * width / 1000, counts[index])
        for index in range(last + 1)
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
