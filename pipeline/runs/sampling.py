"""Picks a few evenly spaced items out of many, without keeping all of them."""

from collections.abc import Iterable
from typing import TypeVar

from stylebeam.pipeline.report.sampling import spread

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
