"""A few of many."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def evenly(items: Iterable[T], most: int) -> tuple[list[T], int]:
    """Return a few of many items, evenly spread, and how many there are.

    Args:
        items: read once, and never held all at once.
        most: how many to return of as many items or more; of fewer, all.
    """
    kept: list[T] = []
    stride = 1
    count = 0
    for count, item in enumerate(items, start=1):
        if (count - 1) % stride:
            continue
        if len(kept) == 2 * most:
            # Every other one, and from here on as rarely.
            kept = kept[::2]
            stride *= 2
            if (count - 1) % stride:
                continue
        kept.append(item)
    return spread(kept, min(most, len(kept))), count


def spread(items: Sequence[T], count: int) -> list[T]:
    """Return exactly so many of the items, at even distances, the first among them.

    Args:
        items: at least `count`.
        count: how many to return.
    """
    return [items[number * len(items) // count] for number in range(count)]


def fair_shares(counts: Sequence[int], most: int) -> list[int]:
    """Return how many of each batch's things to show.

    What small batches leave of their equal shares, large ones have.

    Args:
        counts: how many things each batch has.
        most: how many may be shown altogether.
    """
    shares = [0] * len(counts)
    smallest_first = sorted(range(len(counts)), key=lambda place: counts[place])
    for done, place in enumerate(smallest_first):
        shares[place] = min(counts[place], (most - sum(shares)) // (len(counts) - done))
    return shares
