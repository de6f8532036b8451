"""TIFF files: inspect their tags, and write files from tags and pixels."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from PIL.TiffTags import LONG

EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005
XMP_TAG, ICC_TAG = 700, 34675

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_SIZES, PLANAR = 273, 277, 278, 279, 284
PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_SIZES = 317, 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT = 338, 339

RGB, DEFLATE, HORIZONTAL_DIFFERENCES, UNASSOCIATED_ALPHA = 2, 8, 2, 2

# Size of a value in bytes, by the number of its type.
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BIG_TYPE_SIZES = {**_TYPE_SIZES, 16: 8, 17: 8, 18: 8}
# The first bytes of TIFF, BigTIFF and EXIF.
_HEADERS = (b"II*\0", b"II+\0", b"MM\0*", b"MM\0+")
# Tags of damaged files refer to some bytes more than once, tags of hostile files a thousand times.
_LARGEST_MULTIPLE = 4
# Bytes of pixels that are compressed together, about.
_STRIP = 2**20
_LARGEST_FILE = 2**32 - 2**20  # without the tags


def tags_exceed(data: bytes) -> bool:
    """Return whether a file's TIFF or EXIF tags refer to the same bytes many times.

    A reader that copies every tag's value would need many times the file's size in memory.

    Args:
        data: an image file of any format.
    """
    view = memoryview(data)
    for start in _starts_of_tags(data):
        rest = view[start:]
        total = 0
        for _, size in tag_sizes(rest):
            total += size
            if total > _LARGEST_MULTIPLE * len(rest):
                return True
    return False


def _starts_of_tags(data: bytes) -> Iterator[int]:
    """Yield where a TIFF header might start."""
    # One regular expression for all headers takes ten times as long.
    for header in _HEADERS:
        start = data.find(header)
        while start >= 0:
            yield start
            start = data.find(header, start + 1)


def tag_sizes(data: bytes | memoryview) -> Iterator[tuple[int, int]]:
    """Yield the tags of a TIFF file's first directory and of the EXIF and GPS directories.

    The values are not read: their sizes tell how much a reader would have to read. Each directory
    is visited once. A repeated tag is yielded again. Directories beyond the end of the data are
    ignored.

    Args:
        data: a TIFF or BigTIFF file, or EXIF, which has the same structure.

    Yields:
        A tag's number and the size of its values in bytes, at most the size of the data.
    """
    order = ">" if data[:1] == b"M" else "<"
    big = data[2:4] in (b"+\0", b"\0+")
    count_format, entry_format = (
        (order + "Q", order + "HHQQ") if big else (order + "H", order + "HHLL")
    )
    sizes = _BIG_TYPE_SIZES if big else _TYPE_SIZES
    start = 8 if big else 4
    directories = [int.from_bytes(data[start : 2 * start], "big" if order == ">" else "little")]
    seen = set()
    while directories:
        start = directories.pop()
        if start in seen or start + struct.calcsize(count_format) > len(data):
            continue
        seen.add(start)
        [count] = struct.unpack_from(count_format, data, start)
        place = start + struct.calcsize(count_format)
        for _ in range(count):
            if place + struct.calcsize(entry_format) > len(data):
                break
            tag, kind, number, value = struct.unpack_from(entry_format, data, place)
            place += struct.calcsize(entry_format)
            yield tag, min(number * sizes.get(kind, 0), len(data))
            if tag in (EXIF_IFD, GPS_IFD):
                directories.append(value)


def tiff_file(tags: Mapping[int, Any], strips: list[bytes], byte_order: bytes = b"II") -> bytes:
    """Return a TIFF file with one image.

    Args:
        tags: all tags except the strips' offsets and sizes; a directory of tags is a mapping.
        strips: the image's strips, or its tiles if `tags` contain a tile size.
        byte_order: `II` (little-endian) or `MM` (big-endian), for the tags; must be the same as
            that of the strips.

    Raises:
        ValueError: the file would be larger than 4 GiB.
    """
    header = byte_order + struct.pack(("<" if byte_order == b"II" else ">") + "HL", 42, 8)
    directory = ImageFileDirectory_v2(header)
    for tag, value in tags.items():
        directory[tag] = value
    sizes = [len(strip) for strip in strips]
    if sum(sizes) > _LARGEST_FILE:
        raise ValueError("the file would be larger than 4 GiB, the limit of TIFF")
    offsets = [0, *accumulate(sizes[:-1])]
    in_tiles = TILE_WIDTH in tags
    places, lengths = (TILE_OFFSETS, TILE_SIZES) if in_tiles else (STRIP_OFFSETS, STRIP_SIZES)
    directory.tagtype[places] = directory.tagtype[lengths] = LONG
    directory[places], directory[lengths] = tuple(offsets), tuple(sizes)
    if in_tiles:
        # Pillow adds the size of the tags to the offsets of strips, but not to those of tiles.
        start = len(header) + len(directory.tobytes(len(header)))
        directory[places] = tuple(start + offset for offset in offsets)
    return b"".join([header, directory.tobytes(len(header)), *strips])


def encode_tiff(pixels: np.ndarray, tags: Mapping[int, Any]) -> bytes:
    """Return pixels as a TIFF file with lossless compression.

    Args:
        pixels: RGB or RGBA, uint8 or uint16, shape (H, W, 3 or 4).
        tags: further tags; a directory of tags is a mapping.

    Raises:
        ValueError: the file would be larger than 4 GiB.
    """
    height, width, samples = pixels.shape
    rows = max(1, _STRIP // pixels[0].nbytes)
    storage: dict[int, Any] = {
        WIDTH: width,
        HEIGHT: height,
        BITS: (8 * pixels.itemsize,) * samples,
        COMPRESSION: DEFLATE,
        PHOTOMETRIC: RGB,
        SAMPLES: samples,
        ROWS_PER_STRIP: rows,
        PREDICTOR: HORIZONTAL_DIFFERENCES,
    }
    if samples == 4:
        storage[EXTRA_SAMPLES] = UNASSOCIATED_ALPHA
    strips = [_deflated(pixels[top : top + rows]) for top in range(0, height, rows)]
    return tiff_file({**tags, **storage}, strips)


def _deflated(rows: np.ndarray) -> bytes:
    """Return compressed rows, each pixel stored as its difference from the pixel to its left."""
    differences = rows.astype(rows.dtype.newbyteorder("<"))
    differences[:, 1:] -= rows[:, :-1]
    return zlib.compress(differences.tobytes())
