"""Tests of sampling: a few items, evenly spaced, from a stream of unknown length."""

import pytest

from stylebeam.pipeline.runs.sampling import evenly


@pytest.mark.parametrize(
    ("count", "most", "kept"),
    [
        (0, 4, []),
        (3, 4, [0, 1, 2]),
        (4, 4, [0, 1, 2, 3]),
        (5, 4, [0, 1, 2, 3]),
        (8, 4, [0, 2, 4, 6]),
        (9, 4, [0, 2, 4, 6]),
        (16, 4, [0, 4, 8, 12]),
        (17, 4, [0, 4, 8, 12]),
        (1000, 3, [0, 256, 512]),
    ],
)
def test_sampled_items_are_evenly_spaced(count: int, most: int, kept: list[int]) -> None:
    assert evenly(iter(range(count)), most) == (kept, count)
