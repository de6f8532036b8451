"""Samples: which few of many items are shown."""

import pytest

from stylebeam.pipeline.report.sampling import fair_shares, spread


@pytest.mark.parametrize(
    ("counts", "limit", "shares"),
    [
        ([], 200, []),
        ([5], 200, [5]),
        ([1000], 200, [200]),
        ([3, 1000], 200, [3, 197]),
        ([1000, 3, 1000], 200, [98, 3, 99]),
        ([3, 150], 200, [3, 150]),
        ([9, 9, 9], 2, [0, 1, 1]),
    ],
)
def test_small_batches_are_shown_in_full(counts: list[int], limit: int, shares: list[int]) -> None:
    assert fair_shares(counts, limit) == shares


def test_chosen_items_are_evenly_spaced() -> None:
    assert spread("abcdefghij", 10) == list("abcdefghij")
    assert spread("abcdefghij", 5) == list("acegi")
    assert spread("abcdefghij", 3) == list("adg")
    assert spread("", 0) == []
