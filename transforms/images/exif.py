"""EXIF: read it, and change what no longer applies or says where the photo was taken.

Tags are copied byte for byte. EXIF is passed around as bytes, as JPEG files contain it.
"""

import re
import struct
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

from stylebeam.transforms.images.directories import (
    ASCII,
    INTEROP_IFD,
    MAKER_NOTE,
    Directory,
    Entry,
    Tags,
    integer_entry,
    integers,
    rational_entry,
    read_tags,
    write_tags,
)

ORIENTATION, XMP_TAG, IPTC_TAG, PHOTOSHOP_TAG, ICC_TAG = 0x0112, 700, 33723, 34377, 34675

# Tags that describe how the pixels of a TIFF file are stored, not the photo.
PIXEL_TAGS = frozenset(
    (
        *range(254, 260), 262, 263, 266, 273, *range(277, 282), 284, *range(288, 294), 301,
        *range(317, 326), 330, *range(332, 348), *range(512, 522), *range(529, 533),
        ICC_TAG,
    )
)  # fmt: skip
# Also kept elsewhere, or about a file that the output is not: Photoshop's layers, the numbers that
# turn the values of a raw file into colors.
STORAGE_TAGS = PIXEL_TAGS | {
    *(ORIENTATION, XMP_TAG, IPTC_TAG, PHOTOSHOP_TAG, 37724, 33421, 33422, 37398),
    *range(50706, 52600),
}

_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_INCH, _CENTIMETER = 2, 3
_COLOR_SPACE, _SRGB, _ADOBE_RGB = 0xA001, 1, 2
_INTEROP_INDEX = 1
_PIXEL_X_DIMENSION, _PIXEL_Y_DIMENSION = 0xA002, 0xA003
# What the input's file was: its compression and gamma, "directly photographed", and Xiaomi's sign
# that a video follows the image.
_STALE_TAGS = (0x9102, 0xA500, 0xA301, 0x8897)
# Places in the image, in pixels: the subject, and the ground control points of GeoTIFF.
_COORDINATES = (0x9214, 0xA214)
_GEO_COORDINATES = (33550, 33922, 34264)

# With `gps: drop` only these tags are kept: titles, names, dates, copyright and settings of the
# camera. The text in them is the user's. Altitude and air pressure, maker notes and everything
# unknown may say where the photo was taken.
_PLACELESS_MAIN = frozenset(
    (
        269, 270, 271, 272, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, 305, 306, 315, 33432,
        0x4746, 0x4749, *range(0x9C9B, 0x9CA0),  # stars, and titles of Windows
    )
)  # fmt: skip
_PLACELESS_EXIF = frozenset(
    (
        0x829A, 0x829D, 0x8822, 0x8827, *range(0x8830, 0x8836), 0x9000, *range(0x9003, 0x9005),
        *range(0x9010, 0x9013), 0x9101, *range(0x9201, 0x920B), 0x9286, *range(0x9290, 0x9293),
        0xA000, _COLOR_SPACE, _PIXEL_X_DIMENSION, _PIXEL_Y_DIMENSION, 0xA20B, 0xA20E, 0xA20F,
        0xA210, 0xA215, 0xA217, 0xA300, *range(0xA401, 0xA40B), 0xA40C, 0xA420,
        *range(0xA430, 0xA43D), 0xA460, 0xA461,
    )
)  # fmt: skip


class ExifRead(NamedTuple):
    """What is read from EXIF.

    Attributes:
        orientation: as stored, from 1 to 8; 1 if there is none.
        is_adobe_rgb: whether EXIF says that the pixels are in the color space Adobe RGB.
        exif: the tags that still apply after the pixels have changed; None if there are none.
    """

    orientation: int = 1
    is_adobe_rgb: bool = False
    exif: bytes | None = None


def read_exif(tags: Tags | None, turned: bool = False) -> ExifRead:
    """Return what still applies after the pixels are turned upright, converted to sRGB and changed.

    Args:
        tags: the tags of a TIFF file, or of EXIF from `parse_exif`.
        turned: whether the pixels are turned in any case, whatever EXIF says.
    """
    if tags is None:
        return ExifRead()
    [orientation] = integers(tags.main.get(ORIENTATION), tags.order)[:1] or (1,)
    color_space = integers(tags.exif.get(_COLOR_SPACE), tags.order)[:1]
    index = tags.interop.get(_INTEROP_INDEX, Entry(ASCII, b"")).data
    main = without(tags.main, STORAGE_TAGS)
    exif = without(tags.exif, (*_STALE_TAGS, INTEROP_IFD))
    if color_space:
        exif[_COLOR_SPACE] = integer_entry(tags.order, _SRGB)
    # The interoperability directory is left out: it describes the file.
    cleaned = replace(tags, main=main, exif=exif, interop={})
    if orientation not in range(1, 9):
        orientation = 1
    if turned or orientation != 1:
        cleaned = _without_coordinates(cleaned)
    is_adobe_rgb = color_space == (_ADOBE_RGB,) or (
        color_space != (_SRGB,) and index.startswith(b"R03")
    )
    return ExifRead(orientation, is_adobe_rgb, _packed(cleaned))


def parse_exif(exif: bytes | None) -> Tags | None:
    """Return the tags in EXIF; None if they cannot be read."""
    return read_tags(re.sub(rb"^(?:Exif\0\0)+", b"", exif)) if exif else None


def exif_with_size(exif: bytes | None, width: int, height: int) -> bytes | None:
    """Return EXIF with another image size in pixels, if it contains the size."""
    tags = parse_exif(exif)
    if tags is None:
        return None
    for tag, size in ((_PIXEL_X_DIMENSION, width), (_PIXEL_Y_DIMENSION, height)):
        if tag in tags.exif:
            tags.exif[tag] = integer_entry(tags.order, size)
    return _packed(tags)


def resized_exif(exif: bytes | None, width: int, height: int) -> bytes | None:
    """Return EXIF of an image that was resized: without places in pixels, which have moved."""
    tags = parse_exif(exif)
    moved = None if tags is None else _packed(_without_coordinates(tags))
    return exif_with_size(moved, width, height)


def exif_without_place(exif: bytes | None) -> bytes | None:
    """Return EXIF with only those tags that are known not to say where the photo was taken."""
    tags = parse_exif(exif)
    if tags is None:
        return None
    main = {tag: entry for tag, entry in tags.main.items() if tag in _PLACELESS_MAIN}
    inner = {tag: entry for tag, entry in tags.exif.items() if tag in _PLACELESS_EXIF}
    return _packed(Tags(tags.order, main, inner))


def shortened_exif(exif: bytes | None, longest: int) -> bytes | None:
    """Return EXIF that fits into `longest` bytes, if necessary without the maker note.

    The maker note is the longest part, in a format that is not documented.

    Returns:
        EXIF, or None if it is too long even without the maker note.
    """
    if exif is None or len(exif) <= longest:
        return exif
    tags = parse_exif(exif)
    if tags is None:
        return None
    tags.exif.pop(MAKER_NOTE, None)
    shorter = _packed(tags)
    return shorter if shorter and len(shorter) <= longest else None


def resolution_of_exif(exif: bytes | None) -> tuple[float, float]:
    """Return the horizontal and vertical resolution in pixels per inch.

    Raises:
        Exception: of any kind, if there is none.
    """
    tags = parse_exif(exif) or Tags()
    [unit] = integers(tags.main.get(_RESOLUTION_UNIT), tags.order) or (_INCH,)
    factor = {_INCH: 1, _CENTIMETER: 2.54}[unit]
    x, y = (_number(tags.main[tag], tags.order) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
    return factor * x, factor * y


def tags_with_resolution(tags: Tags, dpi: tuple[float, float] | None) -> Tags:
    """Return the tags of a TIFF file with a resolution; without, if it is None."""
    names = (_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT)
    main = without(tags.main, names)
    if dpi is not None:
        x, y = (rational_entry(tags.order, value) for value in dpi)
        main |= dict(zip(names, (x, y, integer_entry(tags.order, _INCH)), strict=True))
    return replace(tags, main=main)


def without(directory: Directory, tags: Collection[int]) -> Directory:
    """Return a directory without some tags."""
    return {tag: entry for tag, entry in directory.items() if tag not in tags}


def _without_coordinates(tags: Tags) -> Tags:
    return replace(
        tags,
        main=without(tags.main, _GEO_COORDINATES),
        exif=without(tags.exif, _COORDINATES),
    )


def _packed(tags: Tags) -> bytes | None:
    """Return tags as EXIF; None if there are none."""
    if not (tags.main or tags.exif or tags.gps):
        return None
    return b"Exif\0\0" + write_tags(tags)


def _number(entry: Entry, order: str) -> float:
    """Return a tag's value, which should be a rational number."""
    if entry.kind == ASCII:
        return float(entry.data.rstrip(b"\0"))
    letters = {5: "LL", 10: "ll", 11: "f", 12: "d"}.get(entry.kind)
    if letters is None:
        return float(integers(entry, order)[0])
    numerator, *denominator = struct.unpack_from(order + letters, entry.data)
    return float(numerator / denominator[0]) if denominator else float(numerator)
