"""Read image files as photos: upright, in sRGB, with alpha and metadata."""

import io
import re
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pyarrow
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from stylebeam.transforms.images.color_profiles import (
    SRGB_PROFILE,
    sixteen_bit_to_srgb,
    to_srgb,
)
from stylebeam.transforms.images.exif import ORIENTATION, exif_with_size
from stylebeam.transforms.images.formats import (
    DEFAULT_MAX_PIXELS,
    FORMATS,
    FormatSpec,
    ImageError,
    format_of_file,
)
from stylebeam.transforms.images.metadata import read_dpi, read_metadata
from stylebeam.transforms.images.named_colors import named_profile
from stylebeam.transforms.images.photo import Photo
from stylebeam.transforms.images.segments import (
    avif_pixels,
    is_cut_off,
    jpeg_pixels,
    png_pixels,
    png_profile,
    png_with_metadata,
)
from stylebeam.transforms.images.sixteen_bit import decode_sixteen_bit
from stylebeam.transforms.images.tiff import tags_exceed, tiff_pixels
from stylebeam.transforms.images.tiff_pages import photo_first
from stylebeam.transforms.images.transparency import fill_transparent

# What the decoders' messages have in common when the data end before the image does.
_TRUNCATION = re.compile(r"truncated|incomplete|end of file|end of input|premature", re.IGNORECASE)


def decode(
    data: bytes,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    check_picture: Callable[[int, int], None] | None = None,
) -> Photo:
    """Return the photo in an image file: the first frame of an animation, the first of many pages.

    Metadata that are damaged, or that would expand to gigabytes, are ignored. Fully transparent
    pixels have colors of visible ones nearby.

    Args:
        data: the whole file.
        max_pixels: images with more pixels are refused before they are decoded.
        check_picture: is called with the width and height in the file before the image is decoded,
            and raises ImageError if its picture would be too large to be written.

    Raises:
        ImageError: the file is not a whole image of a known format, or the image is too large.
    """
    spec = format_of_file(data)
    if is_cut_off(data, spec.name):
        raise ImageError(_truncation(spec))
    if spec.name == "tiff":
        data = photo_first(data)
    readable = data
    if tags_exceed(data):
        bare = _without_metadata(data, spec)
        if bare is None or (spec.name in ("tiff", "avif") and tags_exceed(bare)):
            raise ImageError(
                f"The {spec.pillow} file is damaged: its tags refer to the same bytes again and"
                " again."
            )
        readable = bare
    try:
        return _decode(readable, data, spec, max_pixels, check_picture)
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly any kind on a malformed file.
        bare = _without_metadata(data, spec)
        if bare is not None:
            try:
                return _decode(bare, data, spec, max_pixels, check_picture)
            except Exception:  # The metadata were not the cause: the first error says more.
                pass
        raise ImageError(_explanation(error, spec, max_pixels)) from error


def allow_pixels(max_pixels: int) -> None:
    """Raise Pillow's own limit on pixels to at least `max_pixels`."""
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)


def check_size(image: Image.Image, max_pixels: int) -> None:
    """Refuse an image with too many pixels.

    Raises:
        ImageError: it has more than `max_pixels`, or is a JPEG larger than its decoder reads.
    """
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"The image has {width}x{height} pixels, more than max_pixels ({max_pixels})."
        )
    largest = FORMATS["jpeg"].largest_side
    if image.format == "JPEG" and largest is not None and max(image.size) > largest:
        raise ImageError(
            f"The JPEG file has {width}x{height} pixels: decoders read at most {largest} a side."
        )


def _without_metadata(data: bytes, spec: FormatSpec) -> bytes | None:
    """Return a file with the same pixels and no metadata; None for formats where we cannot."""
    strippers: dict[str, Callable[[bytes], bytes | None]] = {
        "png": png_pixels,
        "jpeg": jpeg_pixels,
        "tiff": tiff_pixels,
        "avif": avif_pixels,
    }
    strip = strippers.get(spec.name)
    return strip(data) if strip else None


def _decode(
    data: bytes,
    original: bytes,
    spec: FormatSpec,
    max_pixels: int,
    check_picture: Callable[[int, int], None] | None,
) -> Photo:
    """Decode a file. Any exception is possible.

    Args:
        data: the file, with or without its metadata.
        original: the file, from which the metadata are read.
        spec: the file's format.
        max_pixels: images with more pixels are refused.
        check_picture: see `decode`.
    """
    allow_pixels(max_pixels)
    if spec.name == "png":
        # Pillow reads metadata after the pixels only when it decodes the pixels, and 16-bit
        # pixels are decoded by OpenCV. So metadata are moved to the front.
        data = png_with_metadata(data, data)
    formats = spec.opened_as or (spec.pillow,)
    with Image.open(io.BytesIO(data), formats=formats) as image:
        check_size(image, max_pixels)
        if check_picture is not None:
            check_picture(*image.size)
        metadata = read_metadata(image, original)
        orientation = metadata.orientation
        profile = image.info.get("icc_profile")
        if profile is None and spec.name == "png":
            profile = png_profile(original)  # of a file whose metadata Pillow cannot read
        used = profile or named_profile(image, original, metadata.is_adobe_rgb)
        pixels = decode_sixteen_bit(image, data)
        if pixels is None:
            if ORIENTATION in getattr(image, "tag_v2", ()):
                orientation = 1  # Pillow applies the orientation of TIFF files.
            image.load()
            # The header of a HEIF file may give another size than the image has.
            check_size(image, max_pixels)
            rgb, alpha = _eight_bit_pixels(image, used)
        else:
            rgb = sixteen_bit_to_srgb(pixels[..., :3], used)
            alpha = pixels[..., 3:] if pixels.shape[2] == 4 else None
        photo = Photo(
            pixels=_upright(rgb, orientation),
            alpha=None if alpha is None else _upright(alpha, orientation),
            icc_profile=SRGB_PROFILE if profile else None,
            xmp=metadata.xmp,
            iptc=metadata.iptc,
            texts=metadata.texts,
            dpi=read_dpi(image, metadata.exif),
        )
    # RGB may have been reduced to 8 bits by its color profile; then alpha is too.
    photo = photo.with_depth(photo.pixels.dtype)
    if photo.alpha is not None:
        photo = replace(photo, pixels=fill_transparent(photo.pixels, photo.alpha))
    return replace(photo, exif=exif_with_size(metadata.exif, *photo.size))


def _eight_bit_pixels(
    image: Image.Image, profile: bytes | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return RGB and alpha of a loaded image, uint8, shapes (H, W, 3) and (H, W, 1).

    Args:
        image: the image.
        profile: the ICC profile of its color space.

    Raises:
        ImageError: the pixels are of a type without a known range.
    """
    if image.mode == "F":
        raise ImageError("Images of floating-point numbers are not supported.")
    if image.mode.startswith("I"):
        raise ImageError("Images of 32-bit or signed integers are not supported.")
    alpha = None
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))[..., None]
    return _rgb_values(to_srgb(image, profile)), alpha


def _rgb_values(image: Image.Image) -> np.ndarray:
    """Return the values of an RGB image, uint8, shape (H, W, 3)."""
    try:
        # Pillow stores four bytes per pixel; Arrow gives access to them without a copy.
        values = pyarrow.array(image).flatten().to_numpy()
    except ValueError:  # Pillow stores large images in several blocks, which Arrow cannot share.
        return np.asarray(image)
    return cv2.cvtColor(values.reshape(image.height, image.width, 4), cv2.COLOR_RGBA2RGB)


def _upright(pixels: np.ndarray, orientation: int) -> Tensor:
    """Apply the EXIF orientation to pixels of shape (H, W, C); return shape (C, H, W).

    The result is channels-last in memory, the layout that networks and encoders use.
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return torch.from_numpy(np.require(pixels, requirements=("C", "W"))).permute(2, 0, 1)


def _truncation(spec: FormatSpec) -> str:
    """Return the error message for a file that ends early."""
    return (
        f"The {spec.pillow} file is damaged: it ends before its image does. It may have been copied"
        " or downloaded only in part."
    )


def _explanation(error: Exception, spec: FormatSpec, max_pixels: int) -> str:
    """Return the error message for a file that could not be decoded.

    Args:
        error: the decoder's exception.
        spec: the file's format.
        max_pixels: the limit on pixels.
    """
    if isinstance(error, Image.DecompressionBombError):
        return f"The image has more than max_pixels ({max_pixels})."
    if isinstance(error, MemoryError):
        return "There is not enough memory to decode the image."
    if isinstance(error, UnidentifiedImageError):
        return f"The {spec.pillow} file is damaged, or of a variant that cannot be read."
    if _TRUNCATION.search(str(error)):
        return _truncation(spec)
    reason = str(error) or type(error).__name__
    return f"The {spec.pillow} file is damaged: its pixels cannot be decoded ({reason})."
