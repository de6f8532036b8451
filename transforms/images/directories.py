"""TIFF directories: the tags of TIFF files and of EXIF, read and written byte for byte.

Values are not interpreted, so a tag that a program cannot read costs neither itself nor the others.
"""

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MAKER_NOTE = 0x927C
EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SIGNED_LONG, DOUBLE = 1, 2, 3, 4, 5, 7, 9, 12

# Size of a value in bytes, by the number of its type; 129 is UTF-8, of EXIF 3.0.
TYPE_SIZES = {
    **{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1},
}
_BIG_TYPE_SIZES = {**TYPE_SIZES, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 13: "L", 16: "Q", 17: "q", 18: "Q"}
_HEADERS = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}

# In bytes of all values together. Hostile files refer to the same bytes a thousand times.
_LARGEST = 8 * 2**20
# A maker note that starts later, in the middle of a TIFF file, is moved.
_FARTHEST_NOTE = 2**16
# Programs that move EXIF forget to update offsets, so that what is read may be anything. These are
# all the tags that the two directories can have.
_GPS_TAGS, _INTEROP_TAGS = range(0x20), (1, 2, 0x1000, 0x1001, 0x1002)


class Entry(NamedTuple):
    """The values of a tag.

    Attributes:
        kind: number of the values' type.
        data: the values as in the file, in its byte order.
        place: where the values were in the file; None if they were in the directory itself.
    """

    kind: int
    data: bytes
    place: int | None = None


Directory = dict[int, Entry]


@dataclass
class Tags:
    """The tags of a TIFF file or of EXIF.

    Attributes:
        order: the byte order of all values, as in `struct`: "<" or ">".
        main: the tags of the first image.
        exif: tags of the exposure.
        gps: tags of the place.
        interop: tags of the file's interoperability.
    """

    order: str = "<"
    main: Directory = field(default_factory=dict)
    exif: Directory = field(default_factory=dict)
    gps: Directory = field(default_factory=dict)
    interop: Directory = field(default_factory=dict)


def read_tags(data: bytes, ignored: Collection[int] = ()) -> Tags | None:
    """Return the tags of the first image of a TIFF file, or of EXIF.

    Damaged entries are left out, and so are further directories, such as those of thumbnails.

    Args:
        data: a TIFF or BigTIFF file, or EXIF, which has the same structure.
        ignored: tags of the first directory whose values are not read.

    Returns:
        The tags; None if the data do not start as a TIFF file.
    """
    order = _HEADERS.get(data[:4])
    if order is None:
        return None
    reader = _Reader(data, order)
    tags = Tags(order)
    tags.main = reader.directory(reader.first, ignored)
    tags.exif = reader.directory(_pointer(tags.main.pop(EXIF_IFD, None), order))
    gps = reader.directory(_pointer(tags.main.pop(GPS_IFD, None), order))
    tags.gps = {tag: entry for tag, entry in gps.items() if tag in _GPS_TAGS}
    interop = reader.directory(_pointer(tags.exif.pop(INTEROP_IFD, None), order))
    if interop.keys() <= set(_INTEROP_TAGS):
        tags.interop = interop
    for directory in (tags.main, tags.exif, tags.gps, tags.interop):
        # Only BigTIFF has the other types.
        for tag in [tag for tag, entry in directory.items() if entry.kind not in TYPE_SIZES]:
            del directory[tag]
    return tags


def write_tags(tags: Tags) -> bytes:
    """Return tags as a TIFF file without an image, as EXIF contains it.

    Many maker notes contain offsets from the start of the file. They can only be read if the note
    stays where it was, so the other values are written around it. A note that cannot stay there is
    still copied, and the makers whose offsets start at the note can be read.
    """
    writer = _Writer(tags.order, tags.exif.get(MAKER_NOTE))
    inner: dict[int, Any] = {INTEROP_IFD: (tags.interop, {})} if tags.interop else {}
    children: dict[int, Any] = {}
    if tags.exif or inner:
        children[EXIF_IFD] = (tags.exif, inner)
    if tags.gps:
        children[GPS_IFD] = (tags.gps, {})
    writer.directory(tags.main, children)
    return bytes(writer.file)


def integers(entry: Entry | None, order: str) -> tuple[int, ...]:
    """Return the values of a tag; nothing if they are not integers."""
    letter = None if entry is None else _INTEGERS.get(entry.kind)
    if entry is None or letter is None:
        return ()
    count = len(entry.data) // _BIG_TYPE_SIZES[entry.kind]
    return struct.unpack(f"{order}{count}{letter}", entry.data)


def integer_entry(order: str, *values: int) -> Entry:
    """Return an entry of integers, as SHORT if they fit, else as LONG."""
    kind, letter = (SHORT, "H") if max(values) < 2**16 else (LONG, "L")
    return Entry(kind, struct.pack(f"{order}{len(values)}{letter}", *values))


def long_entry(order: str, *values: int) -> Entry:
    """Return an entry of type LONG."""
    return Entry(LONG, struct.pack(f"{order}{len(values)}L", *values))


def rational_entry(order: str, value: float) -> Entry:
    """Return an entry of type RATIONAL with four decimals."""
    return Entry(RATIONAL, struct.pack(order + "LL", round(value * 10_000), 10_000))


class _Reader:
    """Reads directories, and limits the bytes that all values take."""

    def __init__(self, data: bytes, order: str) -> None:
        self._data = data
        self._order = order
        self._big = b"+" in data[2:4]
        self._left = min(_LARGEST, len(data))
        start, size = (8, 8) if self._big else (4, 4)
        self.first = int.from_bytes(data[start : start + size], "little" if order == "<" else "big")

    def directory(self, start: int | None, ignored: Collection[int] = ()) -> Directory:
        """Return the directory at a place; it is empty if there is none."""
        count_format, entry_format = (
            (self._order + "Q", self._order + "HHQ8s")
            if self._big
            else (self._order + "H", self._order + "HHL4s")
        )
        sizes = _BIG_TYPE_SIZES if self._big else TYPE_SIZES
        size = struct.calcsize(entry_format)
        found: Directory = {}
        if start is None or start + struct.calcsize(count_format) > len(self._data):
            return found
        [count] = struct.unpack_from(count_format, self._data, start)
        first = start + struct.calcsize(count_format)
        last = min(first + size * min(count, 2**16), len(self._data) - size + 1)
        for place in range(first, last, size):
            tag, kind, number, value = struct.unpack_from(entry_format, self._data, place)
            if kind in sizes and tag not in ignored and tag not in found:
                entry = self._entry(kind, number * sizes[kind], value)
                if entry is not None:
                    found[tag] = entry
        return found

    def _entry(self, kind: int, length: int, value: bytes) -> Entry | None:
        """Return the values of a tag; None if they are too long or not in the file."""
        if length <= len(value):
            return Entry(kind, value[:length])
        start = int.from_bytes(value, "little" if self._order == "<" else "big")
        if length > self._left or start + length > len(self._data):
            return None
        self._left -= length
        return Entry(kind, self._data[start : start + length], start)


def _pointer(entry: Entry | None, order: str) -> int | None:
    """Return the place of a directory."""
    return next(iter(integers(entry, order)), None)


class _Writer:
    """Places directories and values in a file."""

    def __init__(self, order: str, note: Entry | None) -> None:
        mark = b"II" if order == "<" else b"MM"
        self.file = bytearray(struct.pack(order + "2sHL", mark, 42, 8))
        self._order = order
        self._note = note
        self._next = 8
        self._reserved = range(0)
        if note is not None and note.place is not None and 8 <= note.place <= _FARTHEST_NOTE:
            self._reserved = range(note.place, note.place + len(note.data))

    def directory(self, directory: Directory, children: Mapping[int, Any]) -> int:
        """Write a directory and those that it refers to; return its place.

        Args:
            directory: its tags.
            children: pairs of a directory and its own children, by the tags that refer to them.
        """
        count = len(directory | dict.fromkeys(children, None))
        start = self._place(2 + 12 * count + 4)
        fields = {
            tag: (entry.kind, len(entry.data) // TYPE_SIZES[entry.kind], self._value(entry))
            for tag, entry in directory.items()
        }
        for tag, child in children.items():
            fields[tag] = (LONG, 1, self._packed(self.directory(*child)))
        packed = [
            struct.pack(self._order + "HHL4s", tag, *values)
            for tag, values in sorted(fields.items())
        ]
        self._put(start, struct.pack(self._order + "H", count) + b"".join(packed) + bytes(4))
        return start

    def _value(self, entry: Entry) -> bytes:
        """Return an entry's values if they fit into four bytes; else write them, return where."""
        if len(entry.data) <= 4:
            return entry.data
        stays = entry is self._note and self._reserved
        start = self._reserved.start if stays else self._place(len(entry.data))
        self._put(start, entry.data)
        return self._packed(start)

    def _place(self, size: int) -> int:
        """Return where the next bytes are written, outside the place of the maker note."""
        start = self._next
        if start < self._reserved.stop and start + size > self._reserved.start:
            start = self._reserved.stop
        start += start % 2
        self._next = start + size
        return start

    def _put(self, start: int, data: bytes) -> None:
        self.file.extend(bytes(max(0, start + len(data) - len(self.file))))
        self.file[start : start + len(data)] = data

    def _packed(self, place: int) -> bytes:
        return struct.pack(self._order + "L", place)
