"""Convert images from any color space to sRGB, using the image's ICC profile if it has one."""

import io
import struct

import numpy as np
from PIL import Image, ImageCms

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _constant(profile: ImageCms.ImageCmsProfile) -> bytes:
    """Return a profile that LittleCMS has made as bytes that do not depend on clock or system.

    LittleCMS dates a profile at the time when it is made, so two runs over one photo would write
    different files.
    """
    data = bytearray(profile.tobytes())
    # Fields of the header (ICC.1:2022, 7.2). Its profile ID is zero, for "not calculated".
    data[24:36] = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    data[40:44] = b"APPL"
    return bytes(data)


SRGB_PROFILE: bytes = _constant(_SRGB)
"""The ICC profile of sRGB: the same bytes in every process."""

# Number of parameters of the five types of parametric curves (ICC.1:2022, 10.18).
_PARAMETERS = (1, 3, 4, 5, 7)
# About this many pixels are converted at a time, because they need more memory as floats.
_BLOCK = 2**20


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return an image with 8 bits per channel as sRGB, without alpha.

    Args:
        image: an image of any mode, except those with 16 or 32 bits per channel.
        profile: its ICC profile; damaged profiles and profiles for other channels are ignored.
    """
    if image.mode in ("1", "LA", "La"):
        image = image.convert("L")
    elif image.mode in ("P", "PA", "RGBA", "RGBa", "RGBX", "YCbCr"):
        image = image.convert("RGB")
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), _SRGB, outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError):
            # The profile is damaged or for other channels.
            converted = None
        if converted is not None:
            # Pillow attaches its profile, with a date, and would write it into a PNG.
            converted.info["icc_profile"] = SRGB_PROFILE
            return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def sixteen_bit_to_srgb(pixels: np.ndarray, profile: bytes | None) -> np.ndarray:
    """Return pixels with 16 bits per channel as sRGB.

    Pillow's LittleCMS only converts 8 bits per channel. The profiles of cameras, screens and
    working spaces consist of three curves and a matrix, or of one curve for gray. These are applied
    here. Other profiles consist of a lookup table, and their pixels are converted in 8 bits.

    Args:
        pixels: gray or RGB, uint16, shape (H, W, 1 or 3).
        profile: their ICC profile; damaged profiles and profiles for other channels are ignored.

    Returns:
        RGB, shape (H, W, 3), uint16, or uint8 if the profile is a table.
    """
    space = {1: "GRAY", 3: "RGB"}[pixels.shape[2]]
    if profile and _color_space(profile) == space:
        curves_and_matrix = _curves_and_matrix(profile, space)
        if curves_and_matrix is None:
            eight = np.rint(pixels / 257).astype(np.uint8)
            image = Image.fromarray(eight[..., 0] if space == "GRAY" else eight)
            return np.asarray(to_srgb(image, profile))
        pixels = _convert(pixels, *curves_and_matrix)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _color_space(profile: bytes) -> str | None:
    """Return ICC's name of the color space that a profile converts; None if it is damaged."""
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
    except (ImageCms.PyCMSError, OSError):
        return None


def _curves_and_matrix(profile: bytes, space: str) -> tuple[list[np.ndarray], np.ndarray] | None:
    """Return a profile's curves to linear light and its matrix to linear sRGB.

    Returns:
        For each channel the linear light of each of its 65,536 values, and a matrix of shape
        (3, C); None if the profile is a table or its curves cannot be read.
    """
    try:
        tags = _icc_tags(profile)
        if b"A2B0" in tags:
            return None
        if space == "GRAY":
            return [_curve(tags[b"kTRC"])], np.ones((3, 1))
        curves = [_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")]
        matrix = np.linalg.solve(_colorants(_icc_tags(SRGB_PROFILE)), _colorants(tags))
    except (KeyError, ValueError, struct.error):
        return None
    finite = np.isfinite(matrix).all() and all(np.isfinite(curve).all() for curve in curves)
    return (curves, matrix) if finite else None


def _icc_tags(profile: bytes) -> dict[bytes, bytes]:
    """Return the contents of a profile's tags by their names."""
    [count] = struct.unpack_from(">L", profile, 128)
    entries = [struct.unpack_from(">4sLL", profile, 132 + 12 * n) for n in range(min(count, 100))]
    return {name: profile[start : start + size] for name, start, size in entries}


def _colorants(tags: dict[bytes, bytes]) -> np.ndarray:
    """Return a matrix with the XYZ of red, green and blue as columns."""
    columns = [struct.unpack_from(">3l", tags[name], 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    return np.array(columns).T / 65_536


def _curve(tag: bytes) -> np.ndarray:
    """Return the linear light of each of the 65,536 values of a channel, float32.

    Raises:
        ValueError, struct.error: the curve cannot be read.
    """
    x = np.linspace(0, 1, 65_536)
    if tag[:4] == b"curv":
        [count] = struct.unpack_from(">L", tag, 8)
        if count == 0:
            y = x
        elif count == 1:
            y = x ** (struct.unpack_from(">H", tag, 12)[0] / 256)
        else:
            points = np.frombuffer(tag, ">u2", count, 12) / 65_535
            y = np.interp(x, np.linspace(0, 1, count), points)
    elif tag[:4] == b"para":
        kind = min(struct.unpack_from(">H", tag, 8)[0], 4)
        values = [n / 65_536 for n in struct.unpack_from(f">{_PARAMETERS[kind]}l", tag, 12)]
        g, a, b, c, d, e, f = values + [1.0, 0.0, 0.0, 0.0, 0.0, 0.0][len(values) - 1 :]
        if kind in (1, 2):
            # Types 1 and 2 are the constant c below -b / a. Types 3 and 4 call it f, the offset of
            # the linear part, and e, the offset of the power.
            d, e, f, c = -b / a, c, c, 0
        if kind == 3:
            e = f = 0
        power = np.maximum(a * x + b, 0) ** g + e
        y = power if kind == 0 else np.where(x >= d, power, c * x + f)
    else:
        raise ValueError("unknown type of curve")
    return y.astype(np.float32)


def _convert(pixels: np.ndarray, curves: list[np.ndarray], matrix: np.ndarray) -> np.ndarray:
    """Apply curves, a matrix and the curve of sRGB to pixels; return uint16, shape (H, W, 3)."""
    height, width = pixels.shape[:2]
    result = np.empty((height, width, 3), np.uint16)
    rows = max(1, _BLOCK // width)
    for top in range(0, height, rows):
        block = pixels[top : top + rows]
        light = np.stack([curve[block[..., n]] for n, curve in enumerate(curves)], axis=2)
        linear = np.clip(light @ matrix.T.astype(np.float32), 0, 1)
        encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        result[top : top + rows] = np.rint(65_535 * encoded)
    return result
