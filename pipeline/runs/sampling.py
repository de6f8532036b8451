"""Picks a few evenly spaced items out of many."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def evenly(items: Iterable[T], limit: int) -> tuple[list[T], int]:
    """Return evenly spaced items of an iterable, and the total number of items.

    Args:
        items: iterated once; at most `2 * limit` items are kept in memory.
        limit: number of items to return; all of them if there are fewer.
    """
    kept: list[T] = []
    stride = 1
    count = 0
    for count, item in enumerate(items, start=1):
        if (count - 1) % stride:
            continue
        if len(kept) == 2 * limit:
            # Keep every other item, and from now on take half as many.
            kept = kept[::2]
            stride *= 2
            if (count - 1) % stride:
                continue
        kept.append(item)
    return spread(kept, min(limit, len(kept))), count


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
