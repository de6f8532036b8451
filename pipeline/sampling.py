"""A few of many."""

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def evenly(items: Iterable[T], most: int) -> tuple[list[T], int]:
    """Return a few of many items, evenly spread, and how many there are.

    Args:
        items: read once, and never held all at once.
        most: how many to return of as many items or more, at least half of it; all of fewer.
    """
    kept: list[T] = []
    stride = 1
    count = 0
    for count, item in enumerate(items, start=1):
        if (count - 1) % stride:
            continue
        if len(kept) == most:
            # Every other one, and from here on as rarely.
            kept = kept[::2]
            stride *= 2
            if (count - 1) % stride:
                continue
        kept.append(item)
    return kept, count
