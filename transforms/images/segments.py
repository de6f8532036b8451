"""The pieces that PNG and JPEG files are made of: PNG's chunks, JPEG's segments."""

import struct
from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

# What says how a PNG's pixels are stored; everything else is about the photograph.
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")

_ANIMATION_CHUNKS = (b"acTL", b"fcTL", b"fdAT")

# What is compressed does not end like that, and metadata are not filled up with so many.
_MANY_ZEROS = bytes(2**16)

_START_OF_SCAN, _END_OF_IMAGE = 0xDA, b"\xff\xd9"
# Adobe's, which says whether CMYK is inverted and what the channels are.
_APP0, _APP14, _APP15, _COMMENT = 0xE0, 0xEE, 0xEF, 0xFE


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind of each of a PNG file's chunks and the whole chunk.

    The last one is cut where the file ends.
    """
    place = len(PNG_SIGNATURE)
    while place + 8 <= len(data):
        [length] = struct.unpack_from(">L", data, place)
        chunk = data[place : place + length + 12]
        yield chunk[4:8], chunk
        place += len(chunk)


def png_pixels(data: bytes) -> bytes:
    """Return a PNG file with nothing in it but what its pixels need."""
    kept = [chunk for kind, chunk in png_chunks(data) if kind in _PIXEL_CHUNKS]
    return b"".join([PNG_SIGNATURE, *kept])


def png_with_metadata(data: bytes, other: bytes) -> bytes:
    """Return a PNG file with the metadata of another one, and none of its own.

    Those come before the pixels. Of an animation the image stays that every program shows.
    """
    ignored = (*_PIXEL_CHUNKS, *_ANIMATION_CHUNKS)
    metadata = [chunk for kind, chunk in png_chunks(other) if kind not in ignored]
    pixels = [chunk for kind, chunk in png_chunks(data) if kind in _PIXEL_CHUNKS]
    return b"".join([PNG_SIGNATURE, *pixels[:1], *metadata, *pixels[1:]])


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the segments of a JPEG file before its first scan, and then that scan's beginning.

    Yields:
        a segment's marker (its second byte), and where in the file it begins and ends.
    """
    place = 2
    while place + 4 <= len(data):
        prefix, marker, length = struct.unpack_from(">BBH", data, place)
        if prefix != 0xFF:
            return
        if marker == 0xFF:  # padding
            place += 1
            continue
        yield marker, place, min(place + 2 + length, len(data))
        if marker == _START_OF_SCAN:
            return
        place += 2 + length


def jpeg_pixels(data: bytes) -> bytes:
    """Return a JPEG file without segments of metadata; Adobe's stays, the pixels need it."""
    kept = [data[:2]]
    for marker, start, end in jpeg_segments(data):
        if marker == _START_OF_SCAN:
            return b"".join([*kept, data[start:]])
        if not (_APP0 <= marker <= _APP15 or marker == _COMMENT) or marker == _APP14:
            kept.append(data[start:end])
    return data


def is_cut_off(data: bytes, kind: str) -> bool:
    """Whether a file visibly ends before its image does, where the format's decoder is content.

    Its rest is missing, or zeros, as an interrupted copy leaves it; a decoder takes the zeros for
    gray pixels.

    Args:
        data: the file.
        kind: its format, by Pillow's name.
    """
    if kind == "JPEG":
        scans = (end for marker, _, end in jpeg_segments(data) if marker == _START_OF_SCAN)
        return data.find(_END_OF_IMAGE, next(scans, len(data))) < 0
    if kind == "WEBP" and int.from_bytes(data[4:8], "little") + 8 > len(data):
        return True
    return kind in ("WEBP", "AVIF", "HEIF") and data.endswith(_MANY_ZEROS)
