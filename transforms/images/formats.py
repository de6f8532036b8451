"""The formats of image files: what is read and written, and what is said of those that fail."""

import importlib.util
import re
from typing import Literal

from PIL import Image, UnidentifiedImageError

# An optional dependency: its codec's patents are licensed in some countries only.
HEIF_IS_READ = importlib.util.find_spec("pillow_heif") is not None
"""Whether HEIC and HEIF files can be read and written: the extra `heif` is installed."""
HEIF_IS_MISSING = (
    "To read and write those, install stylebeam with the extra heif: pip install 'stylebeam[heif]'."
)
if HEIF_IS_READ:
    import pillow_heif

    pillow_heif.register_heif_opener()

ImageFormat = Literal["jpeg", "png", "webp", "tiff", "bmp", "gif", "avif", "heif"]

FORMAT_OF_EXTENSION: dict[str, ImageFormat] = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".bmp": "bmp",
    ".gif": "gif",
    ".avif": "avif",
    ".heic": "heif",
    ".heif": "heif",
}
"""The file extensions that count as images, in lower case, and what is written under each."""

EXTENSION_OF_FORMAT: dict[ImageFormat, str] = {
    "jpeg": ".jpg",
    "png": ".png",
    "webp": ".webp",
    "tiff": ".tiff",
}
"""The extension that a chosen output format gets."""

DEFAULT_QUALITY = 92
"""Of JPEG, WebP, AVIF and HEIF, where none is chosen."""

DEFAULT_MAX_PIXELS = 200_000_000
"""Larger images are refused, where no other limit is chosen."""

# What files begin with, by the names that Pillow has for their formats. Pillow opens more, but
# some of it by other programs: Ghostscript for PostScript.
_SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF....WEBP",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "BMP": rb"BM",
    "GIF": rb"GIF8",
    "AVIF": rb"....ftypavi[fs]",
    "HEIF": rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
}

# What the decoders' messages have in common when the data end before the image does.
_TRUNCATION = re.compile(r"truncated|incomplete|end of file|end of input|premature", re.IGNORECASE)


class ImageError(Exception):
    """A file that cannot be read or written as an image; the message says why."""


def kind_of_file(data: bytes) -> str:
    """Return the format that a file's first bytes say, by Pillow's name.

    Raises:
        ImageError: it is none of those that are read, or the file is empty.
    """
    if not data:
        raise ImageError("The file is empty (0 bytes).")
    for kind, signature in _SIGNATURES.items():
        if re.match(signature, data, re.DOTALL):
            if kind == "HEIF" and not HEIF_IS_READ:
                raise ImageError(f"The file is a HEIC or HEIF image. {HEIF_IS_MISSING}")
            return kind
    raise ImageError("The file is not an image of a known kind.")


def allow_pixels(max_pixels: int) -> None:
    """See to it that Pillow's own limit does not undercut the one that the user chose."""
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)


def check_size(image: Image.Image, max_pixels: int) -> None:
    """Refuse an image of too many pixels.

    Raises:
        ImageError: it has more than `max_pixels`.
    """
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"The image has {width}x{height} pixels, more than max_pixels ({max_pixels})."
        )


def truncation(kind: str) -> str:
    """Return the sentence that says that a file of a format is not whole."""
    return (
        f"The {kind} file is damaged: it ends before its image does. It may have been copied or"
        " downloaded only in part."
    )


def explanation(error: Exception, kind: str, max_pixels: int) -> str:
    """Return the sentence that says why a file could not be decoded.

    Args:
        error: what the decoder raised.
        kind: the file's format.
        max_pixels: how many pixels were allowed.
    """
    if isinstance(error, Image.DecompressionBombError):
        return f"The image has more than max_pixels ({max_pixels})."
    if isinstance(error, MemoryError):
        return "There is not enough memory to decode the image."
    if isinstance(error, UnidentifiedImageError):
        return f"The {kind} file is damaged, or of a variant that cannot be read."
    if _TRUNCATION.search(str(error)):
        return truncation(kind)
    reason = str(error) or type(error).__name__
    return f"The {kind} file is damaged: its pixels cannot be decoded ({reason})."
