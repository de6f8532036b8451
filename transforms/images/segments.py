"""The parts of PNG, JPEG and AVIF files: chunks, segments and items."""

import re
import struct
import zlib
from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

# Chunks that describe how the pixels are stored. All others are metadata.
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")

_LARGEST_PROFILE = 4 * 2**20  # bytes

_ANIMATION_CHUNKS = (b"acTL", b"fcTL", b"fdAT")

# Compressed data do not end with this many zeros, and nobody pads metadata with as many.
_MANY_ZEROS = bytes(2**16)

_START_OF_SCAN, _END_OF_IMAGE = 0xDA, b"\xff\xd9"
# APP14 is Adobe's: it says which color space the channels are in and whether CMYK is inverted.
_APP0, _APP2, _APP13, _APP14, _APP15, _COMMENT = 0xE0, 0xE2, 0xED, 0xEE, 0xEF, 0xFE
_ICC_HEADER = b"ICC_PROFILE\0"
# The entry of EXIF in the list of an AVIF file's items: version, flags, number, protection, type.
_AVIF_EXIF = re.compile(rb"(infe\x02.{3}.{2}.{2})Exif", re.DOTALL)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG file.

    Yields:
        A chunk's type, and the whole chunk with its length and checksum. If the file is truncated,
        so is the last chunk.
    """
    place = len(PNG_SIGNATURE)
    while place + 8 <= len(data):
        [length] = struct.unpack_from(">L", data, place)
        chunk = data[place : place + length + 12]
        yield chunk[4:8], chunk
        place += len(chunk)


def png_pixels(data: bytes) -> bytes:
    """Return a PNG file with only the chunks that its pixels need."""
    kept = [chunk for kind, chunk in png_chunks(data) if kind in _PIXEL_CHUNKS]
    return b"".join([PNG_SIGNATURE, *kept])


def png_profile(data: bytes) -> bytes | None:
    """Return the ICC profile in a PNG file; None if there is none, or it is damaged or long."""
    for kind, chunk in png_chunks(data):
        if kind == b"iCCP":
            _, _, rest = chunk[8:-4].partition(b"\0")
            return expanded(rest[1:], _LARGEST_PROFILE)
    return None


def expanded(compressed: bytes, longest: int) -> bytes | None:
    """Return what zlib has compressed; None if it is damaged, or too long."""
    decompressor = zlib.decompressobj()
    try:
        data = decompressor.decompress(compressed, longest)
    except zlib.error:
        return None
    return data if decompressor.eof else None


def png_with_metadata(data: bytes, other: bytes) -> bytes:
    """Return a PNG file whose metadata are replaced by those of another.

    The metadata come before the pixels. An animation becomes its default image.

    Args:
        data: the file whose pixels are kept.
        other: the file whose metadata are copied; may be the same file.
    """
    ignored = (*_PIXEL_CHUNKS, *_ANIMATION_CHUNKS)
    metadata = [chunk for kind, chunk in png_chunks(other) if kind not in ignored]
    pixels = [chunk for kind, chunk in png_chunks(data) if kind in _PIXEL_CHUNKS]
    return b"".join([PNG_SIGNATURE, *pixels[:1], *metadata, *pixels[1:]])


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the segments of a JPEG file up to the header of its first scan.

    Yields:
        A segment's marker (its second byte), and where the segment starts and ends in the file.
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
    """Return a JPEG file with only the metadata that its colors need: ICC and Adobe's segment."""
    kept = [data[:2]]
    for marker, start, end in jpeg_segments(data):
        if marker == _START_OF_SCAN:
            return b"".join([*kept, data[start:]])
        is_profile = marker == _APP2 and data.startswith(_ICC_HEADER, start + 4)
        is_metadata = _APP0 <= marker <= _APP15 or marker == _COMMENT
        if not is_metadata or marker == _APP14 or is_profile:
            kept.append(data[start:end])
    return data


def app13_segment(content: bytes) -> bytes:
    """Return a segment of a JPEG file that contains Photoshop's resources."""
    return _segment(_APP13, content)


def jpeg_with_comment(data: bytes, comment: bytes) -> bytes:
    """Return a JPEG file with a comment after its other metadata."""
    starts = (start for marker, start, _ in jpeg_segments(data) if not _APP0 <= marker <= _APP15)
    place = next(starts, 2)
    return data[:place] + _segment(_COMMENT, comment) + data[place:]


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def avif_pixels(data: bytes) -> bytes:
    """Return an AVIF file whose EXIF is not found by readers."""
    return _AVIF_EXIF.sub(rb"\1none", data)


def is_cut_off(data: bytes, image_format: str) -> bool:
    """Return whether a file visibly ends before its image does.

    This finds damage that decoders accept: the end is missing, or is zeros, as an interrupted copy
    leaves it. Decoders turn the zeros into gray pixels.

    Args:
        data: the file.
        image_format: its name in `formats.FORMATS`.
    """
    if image_format == "jpeg":
        scans = (end for marker, _, end in jpeg_segments(data) if marker == _START_OF_SCAN)
        return data.find(_END_OF_IMAGE, next(scans, len(data))) < 0
    if image_format == "webp" and int.from_bytes(data[4:8], "little") + 8 > len(data):
        return True
    return image_format in ("webp", "avif", "heif") and data.endswith(_MANY_ZEROS)
