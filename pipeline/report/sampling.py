"""Chooses which items a report shows."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def spread(items: Sequence[T], count: int) -> list[T]:
    """Return `count` evenly spaced items, starting with the first.

    Args:
        items: at least `count` items.
        count: number of items to return.
    """
    return [items[index * len(items) // count] for index in range(count)]


def fair_shares(counts: Sequence[int], limit: int) -> list[int]:
    """Return how many items of each batch to show.

    Every batch has the same share of the limit. What small batches do not use goes to larger ones.

    Args:
        counts: number of items in each batch.
        limit: total number of items to show.
    """
    shares = [0] * len(counts)
    smallest_first = sorted(range(len(counts)), key=lambda index: counts[index])
    for done, index in enumerate(smallest_first):
        shares[index] = min(counts[index], (limit - sum(shares)) // (len(counts) - done))
    return shares
