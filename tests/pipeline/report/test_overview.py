"""Overviews: what became of a batch, from any number of outcomes."""

import tracemalloc

import pytest

from stylebeam.pipeline.archive.records import Outcome
from stylebeam.pipeline.report.overview import summarize


def test_outcomes_are_summarized_in_little_memory() -> None:
    count = 20_000
    outcomes = (
        Outcome("all", f"photos/{n}.jpg", f"out/{n}.jpg", "done", "recipe", n / 1000)
        for n in reversed(range(count))
    )
    tracemalloc.start()
    [overview] = summarize(["all"], outcomes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 120 * count
    assert overview.counts == {"done": count}
    assert overview.seconds == pytest.approx(sum(range(count)) / 1000)
    assert overview.slowest == (19.999, "photos/19999.jpg")
    assert overview.pictures == sorted(f"photos/{n}.jpg" for n in range(count))
