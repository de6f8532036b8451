"""Parts of a few of a batch's photos, for what must be known before a run."""

from typing import NamedTuple

from torch import Tensor

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.records import Outcome, Task
from stylebeam.pipeline.runs.planning import BatchPlan
from stylebeam.pipeline.runs.sampling import evenly
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.formats import ImageError


class Excerpt(NamedTuple):
    """The middle of a photo.

    Attributes:
        task: of the photo.
        pixels: of its middle, at full resolution: RGB, uint8 or uint16, of shape (3, H, W).
        whole: the width and height of the photo, in pixels.
    """

    task: Task
    pixels: Tensor
    whole: tuple[int, int]

    @property
    def scale(self) -> float:
        """How large the photo is where it is worked on: 1 for its own size."""
        short_side = self.task.recipe.choice.short_side
        return min(1.0, short_side / min(self.whole)) if short_side else 1.0


def excerpts(
    batch_plan: BatchPlan, most: int, side: int, max_pixels: int
) -> tuple[list[Excerpt], int]:
    """Return the middles of a few of a batch's photos that are to be done.

    Args:
        batch_plan: of the batch.
        most: of how many photos.
        side: of an excerpt, in pixels, at most.
        max_pixels: photos of more are left out, as are those that cannot be read: a run says why.

    Returns:
        The excerpts, and how many photos of the batch are to be done.

    Raises:
        StorageError: the input or the output cannot be listed.
    """
    tasks, count = evenly(
        (item for item in batch_plan.work() if not isinstance(item, Outcome)), most
    )
    found = []
    for task in tasks:
        try:
            photo = decode(storage.read(task.input), max_pixels)
        except (storage.StorageError, ImageError):
            continue
        found.append(Excerpt(task, middle(photo.pixels, side), photo.size))
    return found, count


def middle(pixels: Tensor, side: int) -> Tensor:
    """Return the middle of an image.

    Args:
        pixels: of shape (C, H, W).
        side: of what is returned, in pixels, at most.
    """
    top, left = (max(0, (length - side) // 2) for length in pixels.shape[1:])
    # Copied, lest it keep the whole.
    return pixels[:, top : top + side, left : left + side].clone()
