"""Thumbnails of image files."""

import contextlib
import io

import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from stylebeam.transforms.images.color_profiles import to_srgb
from stylebeam.transforms.images.decoding import allow_pixels, check_size, decode
from stylebeam.transforms.images.formats import DEFAULT_MAX_PIXELS, format_of_file
from stylebeam.transforms.images.metadata import read_metadata
from stylebeam.transforms.images.named_colors import named_profile
from stylebeam.transforms.images.tiff import tags_exceed

# How an image of each EXIF orientation is turned upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def thumbnail(
    data: bytes, box: tuple[int, int], max_pixels: int = DEFAULT_MAX_PIXELS
) -> Image.Image:
    """Return an image file's image, upright, in sRGB, reduced to fit into a box.

    Args:
        data: the whole file.
        box: largest width and height in pixels; smaller images keep their size.
        max_pixels: images with more pixels are refused before they are decoded.

    Returns:
        RGB, or RGBA if the image has transparency; 8 bits per channel.

    Raises:
        ImageError: the file is not a whole image of a known format, or the image is too large.
    """
    if format_of_file(data).name == "jpeg" and not tags_exceed(data):
        # If this fails, `decode` succeeds or raises the right error.
        with contextlib.suppress(Exception):
            return _reduced_jpeg(data, box, max_pixels)
    photo = decode(data, max_pixels).with_depth(torch.uint8)
    image: Image.Image = to_pil_image(photo.pixels)
    if photo.alpha is not None:
        image.putalpha(to_pil_image(photo.alpha))
    image.thumbnail(box, Image.Resampling.LANCZOS)
    return image


def _reduced_jpeg(data: bytes, box: tuple[int, int], max_pixels: int) -> Image.Image:
    """Decode a JPEG at 1/2, 1/4 or 1/8 of its size, the smallest that is large enough."""
    allow_pixels(max_pixels)
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        check_size(image, max_pixels)
        # Twice the box, so that Lanczos has pixels to average. EXIF may swap width and height.
        image.draft(None, (2 * max(box), 2 * max(box)))
        metadata = read_metadata(image, data)
        profile = image.info.get("icc_profile")
        profile = profile or named_profile(image, data, metadata.is_adobe_rgb)
        turn = _UPRIGHT.get(metadata.orientation)
        upright = image.copy() if turn is None else image.transpose(turn)
        upright.info = {}  # Pillow would write the comment into the thumbnail's file
        upright.thumbnail(box, Image.Resampling.LANCZOS)
        return to_srgb(upright, profile)
