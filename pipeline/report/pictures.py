"""Thumbnails for a page that has everything in it."""

import base64
import io
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from PIL import Image

from stylebeam.pipeline import storage
from stylebeam.transforms.images.formats import ImageError
from stylebeam.transforms.images.thumbnails import thumbnail

_THREADS = min(4, os.cpu_count() or 1)
# With 400 of them, and a third more as text, a page has 13 MB of thumbnails.
_LARGEST_FILE = 24_000
# The long side in pixels and the quality; most photos are small enough at the first.
_ATTEMPTS = ((400, 75), (400, 55), (400, 35), (280, 35), (140, 35))
# Of WebP's, from 0 to 6; twice as fast as the default, for a twentieth of the size.
_EFFORT = 2


class Thumbnail(NamedTuple):
    """A small picture.

    Attributes:
        address: a data URI with the whole of it.
        width: in pixels.
        height: likewise.
    """

    address: str
    width: int
    height: int


def read_thumbnails(paths: Iterable[str], max_pixels: int) -> list[Thumbnail | str]:
    """Return a thumbnail of each image, or the sentence that says why there is none.

    Args:
        paths: of the images, or their URIs.
        max_pixels: larger images get none.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda path: _read_thumbnail(path, max_pixels), paths))


def _read_thumbnail(path: str, max_pixels: int) -> Thumbnail | str:
    side, _ = _ATTEMPTS[0]
    try:
        image = thumbnail(storage.read(path), (side, side), max_pixels)
    except (storage.StorageError, ImageError) as error:
        return str(error)
    if image.mode == "RGBA":
        # Transparent, the picture before would shine through that after.
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return Thumbnail(_data_uri(image.convert("RGB")), *image.size)


def _data_uri(image: Image.Image) -> str:
    for side, quality in _ATTEMPTS:
        buffer = io.BytesIO()
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        image.save(buffer, "WEBP", quality=quality, method=_EFFORT)
        if buffer.tell() <= _LARGEST_FILE:
            break
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
