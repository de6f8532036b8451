"""Thumbnails that are embedded in the page."""

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
# Base64 adds a third. 400 thumbnails of this size take 13 MB of the page.
_MAX_FILE_SIZE = 24_000
# Long side in pixels and WebP quality, tried in order. Most photos fit at the first.
_ATTEMPTS = ((400, 75), (400, 55), (400, 35), (280, 35), (140, 35))
# WebP's effort, from 0 to 6. Compared with the default, half the time and 5% larger files.
_EFFORT = 2


class Thumbnail(NamedTuple):
    """A small image for the page.

    Attributes:
        address: data URI with the whole image.
        width: width in pixels.
        height: height in pixels.
    """

    address: str
    width: int
    height: int


def read_thumbnails(paths: Iterable[str], max_pixels: int) -> list[Thumbnail | str]:
    """Return a thumbnail of each image, or a sentence that says why it has none.

    Args:
        paths: paths or URIs of the images.
        max_pixels: images with more pixels get no thumbnail.
    """
    with ThreadPoolExecutor(
        _THREADS, initializer=storage.set_deadline, initargs=(storage.deadline(),)
    ) as pool:
        return list(pool.map(lambda path: _read_thumbnail(path, max_pixels), paths))


def _read_thumbnail(path: str, max_pixels: int) -> Thumbnail | str:
    side, _ = _ATTEMPTS[0]
    try:
        image = thumbnail(storage.read(path), (side, side), max_pixels)
    except (storage.StorageError, ImageError) as error:
        return str(error)
    if image.mode == "RGBA":
        # The two pictures lie on top of each other: transparency would show the one below.
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return Thumbnail(_data_uri(image.convert("RGB")), *image.size)


def _data_uri(image: Image.Image) -> str:
    for side, quality in _ATTEMPTS:
        buffer = io.BytesIO()
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        image.save(buffer, "WEBP", quality=quality, method=_EFFORT)
        if buffer.tell() <= _MAX_FILE_SIZE:
            break
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
