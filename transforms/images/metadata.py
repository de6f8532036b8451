"""Metadata of photos: read EXIF, XMP and resolution, and remove what no longer applies.

Damaged metadata, and metadata larger than any camera writes, are ignored. They never raise.
"""

import math
import re
from typing import Any

from PIL import Image

from stylebeam.transforms.images.tiff import (
    EXIF_IFD,
    GPS_IFD,
    ICC_TAG,
    INTEROP_IFD,
    XMP_TAG,
    tag_sizes,
)

_ORIENTATION = 0x0112
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_PIXEL_X_DIMENSION, _PIXEL_Y_DIMENSION = 0xA002, 0xA003
_MAKER_NOTE = 0x927C

# Tags that describe how the pixels of a TIFF file are stored, not the photo.
_STORAGE_TAGS = (
    *range(254, 260), 262, 263, 266, 273, 274, *range(277, 282), 284, *range(288, 294),
    301, *range(317, 326), 330, *range(332, 348), *range(512, 522), *range(529, 533),
    700,  # XMP, which is kept separately
    34377, 37724,  # Photoshop's thumbnail and layers, which show the original photo
    34675,  # the color profile, which no longer applies
)  # fmt: skip

# In bytes of EXIF or XMP. A parser needs many times as much memory.
_LARGEST = 4 * 2**20
_INCH, _CENTIMETER = 2, 3
_LARGEST_DPI = 65_535  # what JPEG holds

# What no longer applies: the orientation is applied, the thumbnails show the original photo, the
# size may differ, and extended XMP, which other segments of a JPEG hold, is not copied.
_STALE_PROPERTIES = (
    rb"tiff:Orientation|tiff:ImageWidth|tiff:ImageLength|exif:Pixel[XY]Dimension"
    rb"|xmp:Thumbnails|xap:Thumbnails|xmpNote:HasExtendedXMP"
)
_GPS_PROPERTIES = rb"[\w.-]+:GPS\w+"


def read_exif(image: Image.Image, data: bytes) -> tuple[object, bytes | None]:
    """Return the orientation, and the EXIF that still applies after the pixels have changed.

    The thumbnail, which shows the original photo, is removed.

    Args:
        image: the file as opened by Pillow.
        data: the file.

    Returns:
        The value of the orientation tag, and EXIF; each None if there is none.
    """
    try:
        if _exif_size(image, data) > _LARGEST:
            return None, None
        exif = image.getexif()
        orientation = exif.get(_ORIENTATION)
        for tag in _STORAGE_TAGS:
            if tag in exif:
                del exif[tag]
        if EXIF_IFD in exif:
            # Programs that move EXIF forget to update this offset, so that it may point to
            # megabytes of something else.
            exif.get_ifd(EXIF_IFD).pop(INTEROP_IFD, None)
        return orientation, exif.tobytes() if exif else None
    except Exception:  # Pillow's parser raises nearly any kind on damaged EXIF.
        return None, None


def _exif_size(image: Image.Image, data: bytes) -> int:
    """Return the number of bytes that a parser of the file's EXIF would read."""
    if image.format == "TIFF":
        return sum(size for tag, size in tag_sizes(data) if tag not in _STORAGE_TAGS)
    exif = image.info.get("exif", b"").removeprefix(b"Exif\0\0")
    return max(len(exif), sum(size for _, size in tag_sizes(exif)))


def read_xmp(image: Image.Image) -> bytes | None:
    """Return the XMP that still applies after the pixels have changed; None if there is none.

    Args:
        image: the file as opened by Pillow.
    """
    xmp = image.info.get("xmp")
    if not isinstance(xmp, bytes) or len(xmp) > _LARGEST:
        return None
    xmp = xmp.strip(b"\0")
    try:
        xmp.decode()
    except UnicodeDecodeError:
        return None
    # XMP has no document type. An attacker adds one to define entities that expand to gigabytes.
    if not xmp or b"\0" in xmp or b"<!DOCTYPE" in xmp or b"<!ENTITY" in xmp:
        return None
    return _without_properties(xmp, _STALE_PROPERTIES)


def read_dpi(image: Image.Image, exif: bytes | None) -> tuple[float, float] | None:
    """Return the horizontal and vertical resolution in pixels per inch; None if unknown.

    Args:
        image: the file as opened by Pillow.
        exif: the file's EXIF from `read_exif`.
    """
    try:
        found = image.info.get("dpi") or _dpi_of_exif(exif)
        x, y = (float(value) for value in found)
    except Exception:  # The values may be of any type.
        return None
    valid = all(math.isfinite(value) and 1 <= value <= _LARGEST_DPI for value in (x, y))
    return (x, y) if valid else None


def _dpi_of_exif(exif: bytes | None) -> tuple[float, ...]:
    tags = _parsed(exif)
    factor = {_INCH: 1, _CENTIMETER: 2.54}[tags.get(_RESOLUTION_UNIT, _INCH)]
    return tuple(factor * float(tags[tag]) for tag in (_X_RESOLUTION, _Y_RESOLUTION))


def exif_with_size(exif: bytes | None, width: int, height: int) -> bytes | None:
    """Return EXIF with another image size in pixels, if it contains the size."""
    tags = _parsed(exif)
    directory = tags.get_ifd(EXIF_IFD)
    for tag, size in ((_PIXEL_X_DIMENSION, width), (_PIXEL_Y_DIMENSION, height)):
        if tag in directory:
            directory[tag] = size
    return tags.tobytes() if tags else None


def exif_without_gps(exif: bytes | None) -> bytes | None:
    """Return EXIF without GPS coordinates."""
    tags = _parsed(exif)
    if GPS_IFD in tags:
        del tags[GPS_IFD]
    return tags.tobytes() if tags else None


def xmp_without_gps(xmp: bytes | None) -> bytes | None:
    """Return XMP without GPS coordinates; None if they cannot be removed."""
    return xmp and _without_properties(xmp, _GPS_PROPERTIES)


def shortened_exif(exif: bytes | None, longest: int) -> bytes | None:
    """Return EXIF that fits into `longest` bytes, if necessary without the maker note.

    The maker note is the longest part, in a format that is not documented.

    Returns:
        EXIF, or None if it is too long even without the maker note.
    """
    if exif is None or len(exif) <= longest:
        return exif
    tags = _parsed(exif)
    tags.get_ifd(EXIF_IFD).pop(_MAKER_NOTE, None)
    exif = tags.tobytes()
    return exif if len(exif) <= longest else None


def tiff_tags(
    exif: bytes | None,
    dpi: tuple[float, float] | None,
    xmp: bytes | None,
    icc_profile: bytes | None,
) -> dict[int, Any]:
    """Return metadata as the tags of a TIFF file; a directory of tags is a mapping."""
    exif_tags = _parsed(exif)
    tags: dict[int, Any] = dict(exif_tags)
    for directory in {EXIF_IFD, GPS_IFD} & tags.keys():
        tags[directory] = dict(exif_tags.get_ifd(directory))
    if dpi is not None:
        tags |= {_X_RESOLUTION: dpi[0], _Y_RESOLUTION: dpi[1], _RESOLUTION_UNIT: _INCH}
    for tag, data in ((XMP_TAG, xmp), (ICC_TAG, icc_profile)):
        if data:
            tags[tag] = data
    return tags


def _parsed(exif: bytes | None) -> Image.Exif:
    tags = Image.Exif()
    tags.load(exif or b"")
    return tags


def _without_properties(xmp: bytes, names: bytes) -> bytes | None:
    """Return XMP without some properties; None if they are in a form that is not understood.

    XMP is searched as text, because an XML parser can be attacked.

    Args:
        xmp: the packet in UTF-8.
        names: a regular expression that matches the properties' names with their prefixes.
    """
    xmp = re.sub(rb"\s(?:" + names + rb")\s*=\s*(?:\"[^\"<]*\"|'[^'<]*')", b"", xmp)
    opening = re.compile(rb"<(" + names + rb")(?:[\s/][^<>]*)?>")
    kept, place = [], 0
    while found := opening.search(xmp, place):
        kept.append(xmp[place : found.start()])
        place = found.end()
        if not found[0].endswith(b"/>"):
            closing = b"</" + found[1] + b">"
            end = xmp.find(closing, place)
            if end < 0:
                return None
            place = end + len(closing)
    kept.append(xmp[place:])
    cleaned = b"".join(kept)
    return None if re.search(rb"(?<![\w.-])(?:" + names + rb")(?!\w)", cleaned) else cleaned
