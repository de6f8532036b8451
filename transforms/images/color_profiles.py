"""Colours of any kind to sRGB, through an ICC profile where the image has one."""

import io
import struct

import numpy as np
from PIL import Image, ImageCms

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
SRGB_PROFILE: bytes = _SRGB.tobytes()
"""The ICC profile of sRGB."""

# Of the five kinds of parametric curves of ICC.1:2022, 10.18.
_PARAMETERS = (1, 3, 4, 5, 7)
# Rows of about so many pixels are converted together: they are real numbers meanwhile.
_BLOCK = 2**20


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return an image of 8 bits a channel in RGB, without alpha.

    Args:
        image: of any mode but those of 16 and 32 bits.
        profile: its ICC profile; one that is damaged, or for other channels, is ignored.
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
            # A damaged profile, or one for other channels, says nothing about these pixels.
            converted = None
        if converted is not None:
            return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def deep_to_srgb(pixels: np.ndarray, profile: bytes | None) -> np.ndarray:
    """Return an image of 16 bits a channel in RGB.

    LittleCMS, as Pillow has it, works in 8 bits. The profiles of cameras, screens and working
    spaces are three curves and a matrix, or a curve for gray: those are applied here. Pixels with
    a profile of another kind, which is a table, come out with 8 bits.

    Args:
        pixels: gray or RGB, uint16 of shape (H, W, 1 or 3).
        profile: their ICC profile; one that is damaged, or for other channels, is ignored.

    Returns:
        RGB of shape (H, W, 3), uint16, or uint8 where the profile is a table.
    """
    space = {1: "GRAY", 3: "RGB"}[pixels.shape[2]]
    if profile and _color_space(profile) == space:
        shaper = _shaper(profile, space)
        if shaper is None:
            eight = np.rint(pixels / 257).astype(np.uint8)
            image = Image.fromarray(eight[..., 0] if space == "GRAY" else eight)
            return np.asarray(to_srgb(image, profile))
        pixels = _shaped(pixels, *shaper)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _color_space(profile: bytes) -> str | None:
    """Return the channels that a profile is for, as ICC names them; None if it is damaged."""
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
    except (ImageCms.PyCMSError, OSError):
        return None


def _shaper(profile: bytes, space: str) -> tuple[list[np.ndarray], np.ndarray] | None:
    """Return a profile's curves to linear light, and its matrix to linear sRGB.

    Returns:
        for each channel the linear light of each of its 65,536 values, and a matrix of shape
        (3, channels); None if the profile is a table, or its curves cannot be read.
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
    [count] = struct.unpack_from(">L", profile, 128)
    entries = [struct.unpack_from(">4sLL", profile, 132 + 12 * n) for n in range(min(count, 100))]
    return {name: profile[start : start + size] for name, start, size in entries}


def _colorants(tags: dict[bytes, bytes]) -> np.ndarray:
    """Return the XYZ of red, green and blue as the columns of a matrix."""
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
            # Below -b / a these are the constant c, which the others write as e and f.
            d, e, f, c = -b / a, c, c, 0
        if kind == 3:
            e = f = 0
        power = np.maximum(a * x + b, 0) ** g + e
        y = power if kind == 0 else np.where(x >= d, power, c * x + f)
    else:
        raise ValueError("a curve of no known kind")
    return y.astype(np.float32)


def _shaped(pixels: np.ndarray, curves: list[np.ndarray], matrix: np.ndarray) -> np.ndarray:
    """Return pixels in sRGB, uint16 of shape (H, W, 3)."""
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
