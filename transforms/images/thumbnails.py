"""Small versions of image files, for people to look at."""

import contextlib
import io

import torch
from PIL import Image, ImageOps
from torchvision.transforms.v2.functional import to_pil_image

from stylebeam.transforms.images.color_profiles import to_srgb
from stylebeam.transforms.images.formats import (
    DEFAULT_MAX_PIXELS,
    allow_pixels,
    check_size,
    kind_of_file,
)
from stylebeam.transforms.images.io import decode
from stylebeam.transforms.images.tiff import tags_exceed


def thumbnail(
    data: bytes, box: tuple[int, int], max_pixels: int = DEFAULT_MAX_PIXELS
) -> Image.Image:
    """Return the image in a file's bytes, upright, in sRGB, reduced until it fits into a box.

    Args:
        data: the whole file.
        box: width and height in pixels; an image that fits into it keeps its size.
        max_pixels: images of more pixels are refused before they are decoded.

    Returns:
        RGB, or RGBA where the file has transparency; 8 bits a channel.

    Raises:
        ImageError: the bytes are not a whole image of a known kind, or the image is too large.
    """
    if kind_of_file(data) == "JPEG" and not tags_exceed(data):
        # A file that this cannot read, `decode` can, or says what is wrong with it.
        with contextlib.suppress(Exception):
            return _reduced_jpeg(data, box, max_pixels)
    photo = decode(data, max_pixels).with_depth(torch.uint8)
    image: Image.Image = to_pil_image(photo.pixels)
    if photo.alpha is not None:
        image.putalpha(to_pil_image(photo.alpha))
    image.thumbnail(box, Image.Resampling.LANCZOS)
    return image


def _reduced_jpeg(data: bytes, box: tuple[int, int], max_pixels: int) -> Image.Image:
    """Decode a JPEG at a half, a quarter or an eighth of its size, where that is large enough."""
    allow_pixels(max_pixels)
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        check_size(image, max_pixels)
        # Twice the box leaves something to smooth, and the image may lie on its side.
        image.draft(None, (2 * max(box), 2 * max(box)))
        upright = ImageOps.exif_transpose(image)
        upright.thumbnail(box, Image.Resampling.LANCZOS)
        return to_srgb(upright, image.info.get("icc_profile"))
