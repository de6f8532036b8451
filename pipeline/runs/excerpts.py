"""Cuts parts out of a few photos of a batch, for estimates and previews."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.records import Outcome, Task
from stylebeam.pipeline.beam.recipes import size_check
from stylebeam.pipeline.runs.planning import BatchPlan
from stylebeam.pipeline.runs.sampling import evenly
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.formats import ImageError


@dataclass(frozen=True)
class Excerpt:
    """The middle of a photo.

    Attributes:
        task: of the photo.
        pixels: the middle, at full resolution: RGB, uint8 or uint16, of shape (3, H, W).
        whole: the width and height of the photo, in pixels.
    """

    task: Task
    pixels: Tensor
    whole: tuple[int, int]

    def scale(self, short_side: int | None) -> float:
        """Return by what the photo is reduced before its method: 1 for not at all.

        Args:
            short_side: in pixels, to which larger photos are reduced; None for their own.
        """
        return min(1.0, short_side / min(self.whole)) if short_side else 1.0


class Excerpts(NamedTuple):
    """The middles of a few photos of a batch.

    Attributes:
        found: the excerpts.
        to_do: how many photos of the batch are to be done.
        unreadable: the photos that were tried and cannot be read, and why.
    """

    found: list[Excerpt]
    to_do: int
    unreadable: list[tuple[Task, str]]


def excerpts(batch_plan: BatchPlan, most: int, side: int, max_pixels: int) -> Excerpts:
    """Return the middles of a few of a batch's photos that are to be done.

    Args:
        batch_plan: the batch.
        most: how many photos, at most.
        side: of an excerpt, in pixels, at most.
        max_pixels: photos with more cannot be read.

    Raises:
        StorageError: the input or the output cannot be listed.
    """
    tasks, count = evenly(
        (item for item in batch_plan.items() if not isinstance(item, Outcome)), most
    )
    found, unreadable = [], []
    for task in tasks:
        try:
            check = size_check(batch_plan.recipes_by_digest[task.recipe])
            photo = decode(storage.read(task.input), max_pixels, check)
        except (storage.StorageError, ImageError) as error:
            unreadable.append((task, str(error)))
            continue
        found.append(Excerpt(task, middle(photo.pixels, side), photo.size))
    return Excerpts(found, count, unreadable)


def middle(pixels: Tensor, side: int) -> Tensor:
    """Return the middle of an image.

    Args:
        pixels: of shape (C, H, W).
        side: of the result, in pixels, at most.
    """
    top, left = (max(0, (length - side) // 2) for length in pixels.shape[1:])
    # Copied, so that the whole can be freed.
    return pixels[:, top : top + side, left : left + side].clone()
