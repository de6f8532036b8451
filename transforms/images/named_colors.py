"""ICC profiles of color spaces that a file names instead of embedding a profile.

EXIF names Adobe RGB. AVIF, HEIC and PNG files contain numbers of ITU-T H.273.
"""

import struct

import numpy as np
from PIL import Image

from stylebeam.transforms.images.segments import png_chunks

# Chromaticities x and y of red, green and blue.
_ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
_PRIMARIES = {
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
# Unspecified, sRGB, and those of video, which are shown like sRGB. PQ and HLG would need tone
# mapping, and are left as they are.
_SRGB_TRANSFERS = (1, 2, 6, 13, 14, 15)
_D65 = (0.3127, 0.3290)
_D50 = np.array([0.9642, 1.0, 0.8249])
# From XYZ to the responses of the eye's cones, by Bradford.
_CONES = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def named_profile(image: Image.Image, data: bytes, is_adobe_rgb: bool) -> bytes | None:
    """Return a profile of the color space that a file without a profile names.

    Args:
        image: the file as opened by Pillow.
        data: the file.
        is_adobe_rgb: whether EXIF names Adobe RGB.

    Returns:
        An ICC profile; None for sRGB and for color spaces that are not known.
    """
    primaries, transfer = _numbers(image, data)
    if primaries in _PRIMARIES and transfer in _SRGB_TRANSFERS:
        curve = struct.pack(
            ">HH5l", 3, 0, *_fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        )
        return _rgb_profile(_PRIMARIES[primaries], _tag(b"para", curve))
    if is_adobe_rgb:
        return _rgb_profile(_ADOBE_RGB, _tag(b"curv", struct.pack(">LH", 1, 563)))
    return None


def _numbers(image: Image.Image, data: bytes) -> tuple[int, int]:
    """Return H.273's numbers of the primaries and of the transfer function; 2 is unspecified."""
    if image.format == "HEIF":
        nclx = image.info.get("nclx_profile") or {}
        return nclx.get("color_primaries", 2), nclx.get("transfer_characteristics", 2)
    if image.format == "PNG":
        found = next((chunk[8:10] for kind, chunk in png_chunks(data) if kind == b"cICP"), b"")
        return (found[0], found[1]) if len(found) == 2 else (2, 2)
    box = data.find(b"colrnclx") if image.format == "AVIF" else -1
    if box < 0 or box + 12 > len(data):
        return 2, 2
    primaries, transfer = struct.unpack_from(">HH", data, box + 8)
    return primaries, transfer


def _rgb_profile(primaries: tuple[tuple[float, float], ...], curve: bytes) -> bytes:
    """Return a profile of version 2 with three equal curves and a matrix.

    Args:
        primaries: x and y of red, green and blue; white is D65.
        curve: the tag of the curves.
    """
    # The light of the primaries that adds up to white, and its appearance under D50.
    directions = np.array([_xyz(*color) for color in primaries]).T
    white = _xyz(*_D65)
    colorants = directions * np.linalg.solve(directions, white)
    cones = np.diag((_CONES @ _D50) / (_CONES @ white))
    colorants = np.linalg.solve(_CONES, cones @ _CONES @ colorants)
    tags = {b"desc": _tag(b"desc", struct.pack(">L", 1) + bytes(79)), b"wtpt": _xyz_tag(_D50)}
    for name, colorant in zip((b"r", b"g", b"b"), colorants.T, strict=True):
        tags |= {name + b"XYZ": _xyz_tag(colorant), name + b"TRC": curve}
    place = 128 + 4 + 12 * len(tags)
    table, contents = struct.pack(">L", len(tags)), b""
    for name, tag in tags.items():
        table += name + struct.pack(">LL", place + len(contents), len(tag))
        contents += tag
    header = struct.pack(
        ">L4xL12s12x4s28x12s48x",
        *(place + len(contents), 0x02100000, b"mntrRGB XYZ ", b"acsp", _xyz_tag(_D50)[8:]),
    )
    return header + table + contents


def _xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1, (1 - x - y) / y])


def _xyz_tag(color: np.ndarray) -> bytes:
    return _tag(b"XYZ ", struct.pack(">3l", *_fixed(*color)))


def _tag(kind: bytes, content: bytes) -> bytes:
    tag = kind + bytes(4) + content
    return tag + bytes(-len(tag) % 4)


def _fixed(*values: float) -> list[int]:
    """Return numbers with 16 bits after the point."""
    return [round(65_536 * value) for value in values]
