"""Timings: the histogram of the time per image."""

from array import array

import pytest

from stylebeam.pipeline.report.timings import compute_timings


def test_a_histogram_counts_every_image() -> None:
    timings = compute_timings([0.05, 0.1, 0.1, 0.299, 0.3])
    assert {bar.start: bar.images for bar in timings.bars if bar.images} == {
        0.05: 1,
        0.1: 2,
        0.29: 1,
        0.3: 1,
    }
    assert (timings.median, timings.high) == (0.1, 0.3)
    assert timings.bars[-1].end == 0.31


@pytest.mark.parametrize(
    ("seconds", "bars"), [([0.0], 2), ([1.0] * 7, 21), ([0.001, 3600.0], 37), ([7.3], 37)]
)
def test_a_histogram_has_few_bars(seconds: list[float], bars: int) -> None:
    timings = compute_timings(array("d", seconds))
    assert len(timings.bars) == bars
    assert sum(bar.images for bar in timings.bars) == len(seconds)
    assert len(timings.ticks) <= 6


def test_the_slowest_images_share_a_bar() -> None:
    timings = compute_timings([1.0] * 99 + [60.0])
    assert timings.bars[-1].end is None
    assert timings.bars[-1].images == 1
    assert timings.bars[-1].start == pytest.approx(2.1)
    assert sum(bar.images for bar in timings.bars) == 100
