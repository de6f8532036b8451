"""ICC profiles (version 2) with known curves, matrices and tables."""

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
# XYZ of red, green and blue under D50.
ADOBE_RGB = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))
DISPLAY_P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))

_RGB = (b"r", b"g", b"b")


def gray_profile(gamma: float) -> bytes:
    return _profile(b"GRAY", b"XYZ ", {b"kTRC": _gamma(gamma)})


def rgb_profile(colorants: tuple[tuple[float, ...], ...], gamma: float) -> bytes:
    """Return a profile with three equal curves and a matrix, as working spaces have."""
    tags = {name + b"XYZ": _xyz(color) for name, color in zip(_RGB, colorants, strict=True)}
    return _profile(b"RGB ", b"XYZ ", tags | {name + b"TRC": _gamma(gamma) for name in _RGB})


def curved_rgb_profile(curve: bytes) -> bytes:
    """Return a profile with the primaries of Display P3 and any curve."""
    tags = {name + b"XYZ": _xyz(color) for name, color in zip(_RGB, DISPLAY_P3, strict=True)}
    return _profile(b"RGB ", b"XYZ ", tags | {name + b"TRC": curve for name in _RGB})


def table_profile(space: bytes, lightness: list[float]) -> bytes:
    """Return a profile with a lookup table that converts every color to gray.

    Args:
        space: `CMYK`, or `RGB` followed by a space.
        lightness: L* of Lab for all combinations of channels at 0 or maximum, the last channel
            changing fastest.
    """
    channels = len(space.strip())
    assert len(lightness) == 2**channels
    nodes = b"".join(bytes([round(value * 2.55), 128, 128]) for value in lightness)
    linear = bytes(range(256))
    identity = struct.pack(">9l", *(65536 * np.eye(3, dtype=int).ravel()))
    table = bytes([channels, 3, 2, 0]) + identity + channels * linear + nodes + 3 * linear
    return _profile(space, b"Lab ", {b"A2B0": _tag(b"mft1", table)})


def table_curve(values: list[float]) -> bytes:
    points = b"".join(struct.pack(">H", round(65535 * value)) for value in values)
    return _tag(b"curv", struct.pack(">L", len(values)) + points)


def parametric_curve(kind: int, *parameters: float) -> bytes:
    numbers = b"".join(struct.pack(">l", round(65536 * value)) for value in parameters)
    return _tag(b"para", struct.pack(">HH", kind, 0) + numbers)


def _tag(kind: bytes, body: bytes) -> bytes:
    data = kind + bytes(4) + body
    return data + bytes(-len(data) % 4)


def _gamma(gamma: float) -> bytes:
    """Return a curve that is a power, or the identity for gamma 1."""
    if gamma == 1:
        return _tag(b"curv", bytes(4))
    return _tag(b"curv", struct.pack(">LH", 1, round(256 * gamma)))


def _xyz(color: tuple[float, ...]) -> bytes:
    return _tag(b"XYZ ", struct.pack(">3l", *(round(65536 * value) for value in color)))


def _profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    description = _tag(b"desc", struct.pack(">L", 5) + b"test\0" + bytes(78))
    tags = {b"desc": description, b"wtpt": _xyz(D50), **tags}
    place = 128 + 4 + 12 * len(tags)
    table, bodies = struct.pack(">L", len(tags)), b""
    for name, body in tags.items():
        table += name + struct.pack(">LL", place + len(bodies), len(body))
        bodies += body
    header = bytearray(128)
    header[0:4] = struct.pack(">L", place + len(bodies))
    header[8:12] = bytes([2, 16, 0, 0])
    header[12:24] = (b"prtr" if connection == b"Lab " else b"mntr") + space + connection
    header[36:40] = b"acsp"
    header[68:80] = _xyz(D50)[8:]
    return bytes(header) + table + bodies
