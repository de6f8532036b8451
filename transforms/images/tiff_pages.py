"""The pages of TIFF files: which of them is the photo."""

import struct
from collections.abc import Iterator

_NEW_SUBFILE_TYPE, _SUBFILE_TYPE = 254, 255
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_OLD_REDUCED = 2  # value of SubfileType
_SHORT = 3


def photo_first(data: bytes) -> bytes:
    """Return a TIFF file whose first page is the photo, where it was a thumbnail of the photo.

    Only the header, which says where the first page is, changes. A file that marks no other page
    as a whole image stays as it is.

    Args:
        data: a TIFF or BigTIFF file.
    """
    order = ">" if data[:1] == b"M" else "<"
    offset, place = (order + "Q", 8) if _is_big(data) else (order + "L", 4)
    for number, (start, is_whole) in enumerate(_pages(data, order)):
        if is_whole:
            if number == 0:
                return data
            return b"".join(
                [data[:place], struct.pack(offset, start), data[place + struct.calcsize(offset) :]]
            )
    return data


def _is_big(data: bytes) -> bool:
    return data[2:4] in (b"+\0", b"\0+")


def _pages(data: bytes, order: str) -> Iterator[tuple[int, bool]]:
    """Yield where each page starts, and whether it is a whole image rather than a thumbnail.

    The last one is left out if it is beyond the end of the data.
    """
    offset, count, tag, place = (
        (order + "Q", order + "Q", order + "HHQ8s", 8)
        if _is_big(data)
        else (order + "L", order + "H", order + "HHL4s", 4)
    )
    seen = set()
    try:
        while True:
            [start] = struct.unpack_from(offset, data, place)
            if start == 0 or start in seen:
                return
            seen.add(start)
            [tags] = struct.unpack_from(count, data, start)
            first = start + struct.calcsize(count)
            place = first + tags * struct.calcsize(tag)
            struct.unpack_from(offset, data, place)  # Before a false count makes the loop long.
            found = (
                struct.unpack_from(tag, data, each)
                for each in range(first, place, struct.calcsize(tag))
            )
            is_reduced = any(
                _says_reduced(number, _value(kind, value, order))
                for number, kind, _, value in found
                if number in (_NEW_SUBFILE_TYPE, _SUBFILE_TYPE)
            )
            yield start, not is_reduced
    except struct.error:
        return


def _value(kind: int, value: bytes, order: str) -> int:
    """Return the first number of a tag, whose values fit into the tag itself."""
    [number] = struct.unpack_from(order + ("H" if kind == _SHORT else "L"), value)
    return int(number)


def _says_reduced(tag: int, value: int) -> bool:
    if tag == _NEW_SUBFILE_TYPE:
        return bool(value & (_REDUCED | _MASK))
    return value == _OLD_REDUCED
