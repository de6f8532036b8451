"""IPTC-IIM: captions, keywords and copyright, as JPEG and TIFF files contain them.

See the IPTC's Information Interchange Model 4.2, and Adobe's Photoshop File Formats Specification
for the image resources that contain it in JPEG files.
"""

import struct
from collections.abc import Iterator

# What precedes Photoshop's image resources in segment APP13 of a JPEG file.
PHOTOSHOP_HEADER = b"Photoshop 3.0\0"
_IPTC_RESOURCE = 0x0404
_LARGEST = 2**20  # bytes
# What one segment of a JPEG file holds, after the headers.
LARGEST_IN_JPEG = 65_533 - len(PHOTOSHOP_HEADER) - 12 - 1

_ENVELOPE, _APPLICATION = 1, 2  # records
_CHARACTER_SET = 90  # of the envelope; without it, the text cannot be read
# What no longer applies: the caption as an image, the image's type and orientation, sound and
# previews.
_STALE = (125, 130, 131, *range(150, 155), *range(200, 203))
# With `gps: drop` only these are kept: titles, names, dates, keywords and copyright. The text in
# them is the user's.
_PLACELESS = (
    *(0, 3, 4, 5, 7, 8, 10, 12, 15, 20, 22, 25, 30, 35, 37, 38, 40, 55, 60, 62, 63, 65, 70, 80, 85),
    *(105, 110, 115, 116, 120, 122, 135, 221),
)


def iptc_of_resources(resources: bytes) -> bytes:
    """Return the IPTC in Photoshop's image resources; empty if there is none."""
    found, place = [], 0
    while resources[place : place + 4] == b"8BIM" and place + 12 <= len(resources):
        [number, length_of_name] = struct.unpack_from(">HB", resources, place + 4)
        place += 6 + (length_of_name + 2) // 2 * 2
        [length] = struct.unpack(">L", resources[place : place + 4].rjust(4, b"\0"))
        if number == _IPTC_RESOURCE:
            found.append(resources[place + 4 : place + 4 + length])
        place += 4 + length + length % 2
    return b"".join(found)


def resources_of_iptc(iptc: bytes) -> bytes:
    """Return the contents of segment APP13 of a JPEG file."""
    length = struct.pack(">L", len(iptc))
    header = PHOTOSHOP_HEADER + b"8BIM" + struct.pack(">H", _IPTC_RESOURCE) + b"\0\0"
    return header + length + iptc + bytes(len(iptc) % 2)


def current_iptc(iptc: bytes) -> bytes | None:
    """Return what still applies after the pixels have changed, up to the first damage."""
    kept = [
        data
        for record, number, data in _data_sets(iptc[:_LARGEST])
        if (record == _ENVELOPE and number == _CHARACTER_SET)
        or (record == _APPLICATION and number not in _STALE)
    ]
    return b"".join(kept) or None


def iptc_without_place(iptc: bytes | None) -> bytes | None:
    """Return only what is known not to say where the photo was taken."""
    kept = [
        data
        for record, number, data in _data_sets(iptc or b"")
        if record == _ENVELOPE or number in _PLACELESS
    ]
    return b"".join(kept) or None


def _data_sets(iptc: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the data sets: the numbers of the record and the data set, and all its bytes."""
    place = 0
    while place + 5 <= len(iptc) and iptc[place] == 0x1C:
        record, number, length = struct.unpack_from(">BBH", iptc, place + 1)
        start = place + 5
        if length & 0x8000:  # the length's own length, of long data sets
            size = length & 0x7FFF
            if size > 4:
                return
            length = int.from_bytes(iptc[start : start + size], "big")
            start += size
        if start + length > len(iptc):
            return
        yield record, number, iptc[place : start + length]
        place = start + length
