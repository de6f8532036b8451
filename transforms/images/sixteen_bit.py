"""Read and write images with 16 bits per channel.

Pillow reads 16-bit RGB as 8 bits, and writes only gray. OpenCV does the rest.
"""

import cv2
import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from stylebeam.transforms.images import tiff
from stylebeam.transforms.images.segments import png_chunks, png_pixels

# OpenCV prints its errors too; the exceptions are enough.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

# The lossless ones: none, LZW, deflate (two numbers), PackBits.
_COMPRESSIONS = (1, 5, 8, 32773, 32946)
_ASSOCIATED_ALPHA = 1
# Tags that a decoder needs to read the pixels.
_COPIED = (
    *(tiff.BITS, tiff.COMPRESSION, tiff.PHOTOMETRIC, tiff.FILL_ORDER, tiff.SAMPLES),
    *(tiff.PREDICTOR, tiff.TILE_WIDTH, tiff.TILE_HEIGHT, tiff.EXTRA_SAMPLES),
)
# Pixels a side that libpng accepts, which OpenCV uses; it prints its refusal.
_LARGEST_PNG = 1_000_000


class SixteenBitError(Exception):
    """The pixels of a 16-bit image are damaged."""


def decode_sixteen_bit(image: Image.Image, data: bytes) -> np.ndarray | None:
    """Return the pixels of an image with 16 bits per channel.

    OpenCV does not get the file itself, but a new one with the size that Pillow has read and the
    pixels. A file that lies about its size cannot make OpenCV decode more than was checked.

    Args:
        image: the file as opened by Pillow, not loaded.
        data: the file.

    Returns:
        Gray, RGB or RGBA, uint16, shape (H, W, C) with C 1, 3 or 4; None for other images.

    Raises:
        SixteenBitError: the file is damaged or truncated.
    """
    if image.mode in ("I;16", "I;16L", "I;16B"):
        return _gray(image)
    if isinstance(image, PngImagePlugin.PngImageFile) and ";16" in str(image.tile[:1]):
        _check_chunks(data)
        return _opencv(png_pixels(data), image.size)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _tiff(image, data)
    return None


def encode_sixteen_bit_png(pixels: np.ndarray) -> bytes:
    """Return a PNG file with 16 bits per channel and no metadata.

    Args:
        pixels: RGB or RGBA, uint16, shape (H, W, 3 or 4).

    Raises:
        ValueError: PNG cannot hold the image.
    """
    if max(pixels.shape) > _LARGEST_PNG:
        raise ValueError(f"with 16 bits, a side may have at most {_LARGEST_PNG} pixels")
    order = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    whole, data = cv2.imencode(".png", cv2.cvtColor(pixels, order))
    if not whole:
        raise ValueError("OpenCV cannot write it")
    return data.tobytes()


def _gray(image: Image.Image) -> np.ndarray:
    """Return the pixels of a 16-bit gray image, shape (H, W, 1), or RGBA if it has transparency."""
    pixels = np.asarray(image).astype(np.uint16)
    transparent = image.info.get("transparency")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(tiff.BITS, (16,))[0]
        if bits < 16:
            pixels = np.rint(pixels * (65_535 / (2**bits - 1))).astype(np.uint16)
        if image.tag_v2.get(tiff.PHOTOMETRIC) == 0:  # white is zero
            pixels = 65_535 - pixels
    if isinstance(transparent, int):
        alpha = np.where(pixels == transparent, 0, 65_535).astype(np.uint16)
        return np.stack([pixels, pixels, pixels, alpha], axis=2)
    return pixels[..., None]


def _check_chunks(data: bytes) -> None:
    """Refuse a PNG file with false chunk lengths, for which OpenCV would allocate memory.

    Raises:
        SixteenBitError: it does not have exactly one header, or a chunk is longer than the file.
    """
    kinds = [kind for kind, _ in png_chunks(data)]
    if kinds.count(b"IHDR") != 1:
        raise SixteenBitError("the file does not have exactly one header")
    if any(len(chunk) != int.from_bytes(chunk[:4], "big") + 12 for _, chunk in png_chunks(data)):
        raise SixteenBitError("the file is truncated")


def _tiff(image: TiffImagePlugin.TiffImageFile, data: bytes) -> np.ndarray | None:
    """Return the pixels of a 16-bit RGB or RGBA TIFF file; None for other TIFF files."""
    tags = image.tag_v2
    samples = tags.get(tiff.SAMPLES, 1)
    readable = (
        samples in (3, 4)
        and set(tags.get(tiff.BITS, ())) == {16}
        and set(tags.get(tiff.SAMPLE_FORMAT, (1,))) == {1}
        and tags.get(tiff.PHOTOMETRIC) == tiff.RGB
        and tags.get(tiff.COMPRESSION, 1) in _COMPRESSIONS
    )
    if not readable:
        return None
    # Not `image.size`: Pillow has already applied the orientation to it.
    size = tags[tiff.WIDTH], tags[tiff.HEIGHT]
    if tags.get(tiff.PLANAR, 1) == 2:
        planes = [_opencv(_rebuilt(tags, data, plane), size) for plane in range(samples)]
        pixels = np.concatenate(planes, axis=2)
    else:
        pixels = _opencv(_rebuilt(tags, data), size)
    [extra] = tags.get(tiff.EXTRA_SAMPLES, (tiff.UNASSOCIATED_ALPHA,))[:1]
    if samples == 3 or extra not in (_ASSOCIATED_ALPHA, tiff.UNASSOCIATED_ALPHA):
        return pixels[..., :3]
    if extra == _ASSOCIATED_ALPHA:
        alpha = np.maximum(pixels[..., 3:], 1) / 65_535
        colors = np.clip(np.rint(pixels[..., :3] / alpha), 0, 65_535).astype(np.uint16)
        pixels = np.concatenate([colors, pixels[..., 3:]], axis=2)
    return pixels


def _rebuilt(
    tags: TiffImagePlugin.ImageFileDirectory_v2, data: bytes, plane: int | None = None
) -> bytes:
    """Return a new TIFF file with the same pixels and no metadata.

    Args:
        tags: the file's tags.
        data: the file.
        plane: the channel to extract as a gray image from a file that stores each channel
            separately; None for all channels.

    Raises:
        SixteenBitError: strips are missing, overlap or are unreasonably large.
    """
    width, height = tags[tiff.WIDTH], tags[tiff.HEIGHT]
    in_tiles = tiff.TILE_WIDTH in tags
    offsets = tags.get(tiff.TILE_OFFSETS if in_tiles else tiff.STRIP_OFFSETS, ())
    sizes = tags.get(tiff.TILE_SIZES if in_tiles else tiff.STRIP_SIZES, ())
    if not offsets or len(offsets) != len(sizes) or sum(sizes) > len(data):
        raise SixteenBitError("they are not where the file says")
    copied = {tag: tags[tag] for tag in _COPIED if tag in tags}
    copied |= {tiff.WIDTH: width, tiff.HEIGHT: height}
    if in_tiles:
        tile = tags[tiff.TILE_WIDTH] * tags[tiff.TILE_HEIGHT]
        if tile > max(4 * width * height, 2**20):
            raise SixteenBitError("their tiles are far larger than the image")
    else:
        copied[tiff.ROWS_PER_STRIP] = min(tags.get(tiff.ROWS_PER_STRIP, height), height)
    strips = [data[start : start + size] for start, size in zip(offsets, sizes, strict=True)]
    if plane is not None:
        count = len(strips) // tags[tiff.SAMPLES]
        strips = strips[plane * count : (plane + 1) * count]
        copied |= {tiff.BITS: 16, tiff.SAMPLES: 1, tiff.PHOTOMETRIC: 1}
        copied.pop(tiff.EXTRA_SAMPLES, None)
    return tiff.tiff_file(copied, strips, tags.prefix)


def _opencv(data: bytes, size: tuple[int, int]) -> np.ndarray:
    """Decode a file with OpenCV to gray, RGB or RGBA, uint16, shape (H, W, 1, 3 or 4).

    Raises:
        SixteenBitError: OpenCV cannot decode it, or the image has another size or depth.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise SixteenBitError(str(error.err)) from error
    if pixels is None or pixels.dtype != np.uint16 or pixels.shape[1::-1] != size:
        raise SixteenBitError("OpenCV cannot read them")
    if pixels.ndim == 2:
        return pixels[..., None]
    order = cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    return cv2.cvtColor(pixels, order)
