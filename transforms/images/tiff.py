"""TIFF files: inspect their tags, and write files from tags and pixels."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import accumulate

import numpy as np

from stylebeam.transforms.images.directories import (
    EXIF_IFD,
    GPS_IFD,
    TYPE_SIZES,
    Tags,
    integer_entry,
    long_entry,
    write_tags,
)
from stylebeam.transforms.images.exif import PIXEL_TAGS

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_SIZES, PLANAR = 273, 277, 278, 279, 284
PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_SIZES = 317, 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT = 338, 339
_SUB_DIRECTORIES = 330

RGB, DEFLATE, HORIZONTAL_DIFFERENCES, UNASSOCIATED_ALPHA = 2, 8, 2, 2

_BIG_TYPE_SIZES = {**TYPE_SIZES, 16: 8, 17: 8, 18: 8}
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
    sizes = _BIG_TYPE_SIZES if big else TYPE_SIZES
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


def tiff_pixels(data: bytes) -> bytes | None:
    """Return a TIFF file with only the tags that its pixels need.

    The first directory is copied to the end, without its other entries. The values stay where they
    are.

    Returns:
        The file; None if it is truncated, or a BigTIFF.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return None
    [start] = struct.unpack_from(order + "L", data, 4)
    if start + 2 > len(data):
        return None
    [count] = struct.unpack_from(order + "H", data, start)
    if start + 2 + 12 * count > len(data):
        return None
    kept: dict[int, bytes] = {}
    for place in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, number, value = struct.unpack_from(order + "HHLL", data, place)
        if tag in PIXEL_TAGS and tag != _SUB_DIRECTORIES:
            size = number * TYPE_SIZES.get(kind, 0)
            if size > 4 and value + size > len(data):
                return None
            kept.setdefault(tag, data[place : place + 12])
    padded = data + bytes(len(data) % 2)
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept.values()) + bytes(4)
    return data[:4] + struct.pack(order + "L", len(padded)) + padded[8:] + directory


def tiff_file(
    storage: Mapping[int, int | tuple[int, ...]],
    strips: list[bytes],
    byte_order: bytes = b"II",
    metadata: Tags | None = None,
) -> bytes:
    """Return a TIFF file with one image.

    Args:
        storage: the tags of integers that say how the pixels are stored, except the strips'
            offsets and sizes.
        strips: the image's strips, or its tiles if `storage` contains a tile size.
        byte_order: `II` (little-endian) or `MM` (big-endian); must be that of the strips and of
            the metadata.
        metadata: further tags.

    Raises:
        ValueError: the file would be larger than 4 GiB.
    """
    order = "<" if byte_order == b"II" else ">"
    tags = metadata or Tags(order)
    entries = {
        tag: integer_entry(order, *((value,) if isinstance(value, int) else value))
        for tag, value in storage.items()
    }
    in_tiles = TILE_WIDTH in storage
    places, lengths = (TILE_OFFSETS, TILE_SIZES) if in_tiles else (STRIP_OFFSETS, STRIP_SIZES)
    sizes = [len(strip) for strip in strips]
    if sum(sizes) > _LARGEST_FILE:
        raise ValueError("the file would be larger than 4 GiB, the limit of TIFF")
    offsets = [0, *accumulate(sizes[:-1])]

    def before_strips(start: int) -> bytes:
        """Return everything before the strips, which start at a place."""
        moved = long_entry(order, *(start + offset for offset in offsets))
        added = {places: moved, lengths: long_entry(order, *sizes)}
        written = write_tags(replace(tags, main=tags.main | entries | added))
        return written + bytes(len(written) % 2)

    return b"".join([before_strips(len(before_strips(0))), *strips])


def encode_tiff(pixels: np.ndarray, metadata: Tags) -> bytes:
    """Return pixels as a TIFF file with lossless compression.

    Args:
        pixels: RGB or RGBA, uint8 or uint16, shape (H, W, 3 or 4).
        metadata: further tags. The file has their byte order.

    Raises:
        ValueError: the file would be larger than 4 GiB.
    """
    height, width, samples = pixels.shape
    rows = max(1, _STRIP // pixels[0].nbytes)
    storage: dict[int, int | tuple[int, ...]] = {
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
    order = metadata.order
    strips = [_deflated(pixels[top : top + rows], order) for top in range(0, height, rows)]
    return tiff_file(storage, strips, b"II" if order == "<" else b"MM", metadata)


def _deflated(rows: np.ndarray, order: str) -> bytes:
    """Return compressed rows, each pixel stored as its difference from the pixel to its left."""
    differences = rows.astype(f"{order}u{rows.itemsize}")
    differences[:, 1:] -= rows[:, :-1]
    return zlib.compress(differences.tobytes())
