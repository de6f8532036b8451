"""Pages of pictures, side by side with the photos and the paintings."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from stylebeam.transforms.evaluation.candidates import Candidate
from stylebeam.transforms.images.contact_sheet import contact_sheet
from stylebeam.transforms.training.data import read_pixels

_CELL = 384, 288  # width and height
_ROWS = 10

Cells = Mapping[Path, Image.Image]
"""Small images of a row, by the photo."""


def cell(pixels: Tensor) -> Image.Image:
    """Return an image, uint8 of shape (3, H, W), small enough for a page."""
    image: Image.Image = to_pil_image(pixels)
    image.thumbnail(_CELL)
    return image


def pages(photos: Cells, pictures: Sequence[tuple[Candidate, Cells]]) -> Iterator[Image.Image]:
    """Yield pages of at most ten candidates, each in a row below the photos.

    Rows with the same painting follow each other, so that checkpoints can be compared. The first
    column has the painting.

    Args:
        photos: by path.
        pictures: of each candidate, by the photo; some may be missing.
    """
    ordered = sorted(pictures, key=lambda row: row[0].painting.stem if row[0].painting else "")
    for start in range(0, len(ordered), _ROWS):
        some = ordered[start : start + _ROWS]
        empty = Image.new("RGB", _CELL, "white")
        rows = [[empty, *photos.values()]] + [
            [_painting(candidate) or empty, *(made.get(photo, empty) for photo in photos)]
            for candidate, made in some
        ]
        labels = ["", *(candidate.name for candidate, _ in some)]
        titles = ["", *(photo.stem for photo in photos)]
        yield contact_sheet(rows, labels, titles, title="")


def _painting(candidate: Candidate) -> Image.Image | None:
    return None if candidate.painting is None else cell(read_pixels(candidate.painting))
