"""Images with 16 bits per channel are read, stylized and written without losing precision."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from stylebeam.transforms.checkpoints import Checkpoint, parse_checkpoint
from stylebeam.transforms.gatys.engine import OptimizationEngine
from stylebeam.transforms.gatys.settings import OptimizationSettings
from stylebeam.transforms.images import tiff
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.formats import ImageError
from stylebeam.transforms.images.photo import Photo
from stylebeam.transforms.images.pixels import from_unit_range, to_depth, to_unit_range
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer
from stylebeam.transforms.inference.super_resolution import SuperResolutionEngine
from stylebeam.transforms.networks import build_network
from tests.helpers import color_profiles
from tests.helpers.image_files import HEIF, file_of, opened
from tests.helpers.mutations import XMP

CPU = torch.device("cpu")
GRAY, RGB, GRAY_AND_ALPHA, RGBA = 0, 2, 4, 6
CHANNELS = {GRAY: 1, RGB: 3, GRAY_AND_ALPHA: 2, RGBA: 4}


@pytest.fixture
def noise() -> Callable[[int, int, int], np.ndarray]:
    """A function that returns random uint16 pixels, shape (H, W, C)."""

    def make(height: int, width: int, channels: int) -> np.ndarray:
        rng = np.random.default_rng(height * width)
        return rng.integers(0, 65_536, (height, width, channels), dtype=np.uint16)

    return make


def visible(pixels: np.ndarray) -> np.ndarray:
    """Return RGBA without fully transparent pixels, whose colors are not kept."""
    return np.concatenate([pixels[..., :3], np.maximum(pixels[..., 3:], 1)], axis=2)


def png(pixels: np.ndarray, kind: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG file with 16 bits per channel, written without a library."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">L", zlib.crc32(name + data))
        return struct.pack(">L", len(data)) + name + data + checksum

    height, width = pixels.shape[:2]
    header = struct.pack(">LLBBBBB", width, height, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def photo_of(pixels: np.ndarray, **metadata: object) -> Photo:
    channels = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    alpha = channels[3:] if len(channels) == 4 else None
    return Photo(channels[:3], alpha, **metadata)


def values(photo: Photo) -> np.ndarray:
    """Return RGB or RGBA, shape (H, W, C)."""
    channels = photo.pixels if photo.alpha is None else torch.cat([photo.pixels, photo.alpha])
    return channels.numpy().transpose(1, 2, 0)


@pytest.mark.parametrize("kind", CHANNELS)
def test_every_color_type_of_png_is_read_exactly(noise, kind: int) -> None:
    pixels = noise(13, 17, CHANNELS[kind])
    photo = decode(png(pixels, kind))
    assert photo.pixels.dtype == torch.uint16
    colors = pixels[..., :3] if kind in (RGB, RGBA) else pixels[..., :1].repeat(3, axis=2)
    assert np.array_equal(photo.pixels.numpy().transpose(1, 2, 0), colors)
    if kind in (GRAY_AND_ALPHA, RGBA):
        assert np.array_equal(photo.alpha[0].numpy(), pixels[..., -1])
    else:
        assert photo.alpha is None


@pytest.mark.parametrize("kind", [GRAY, RGB])
def test_the_transparent_color_of_a_png_becomes_alpha(noise, kind: int) -> None:
    pixels = noise(3, 5, CHANNELS[kind])
    photo = decode(png(pixels, kind, (b"tRNS", pixels[1, 2].astype(">u2").tobytes())))
    expected = np.full((3, 5), 65_535)
    expected[1, 2] = 0
    assert np.array_equal(photo.alpha[0].numpy(), expected)


@pytest.mark.parametrize(
    "compression", [1, 5, 8, 32773], ids=["none", "lzw", "deflate", "packbits"]
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_compression_of_tiff_is_read_exactly(noise, channels: int, compression: int) -> None:
    pixels = noise(41, 29, channels)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    options = [cv2.IMWRITE_TIFF_COMPRESSION, compression]
    _, data = cv2.imencode(".tiff", np.ascontiguousarray(pixels[..., order]), options)
    expected = pixels.repeat(3, axis=2) if channels == 1 else pixels
    assert np.array_equal(values(decode(data.tobytes())), expected)


def tiff_of(pixels: np.ndarray, strips: list[np.ndarray], order: str = "<", **tags: int) -> bytes:
    """Return a TIFF file with 16 bits per channel and uncompressed strips or tiles."""
    height, width, channels = pixels.shape
    storage = {
        **{tiff.WIDTH: width, tiff.HEIGHT: height, tiff.COMPRESSION: 1, tiff.PHOTOMETRIC: tiff.RGB},
        **{tiff.BITS: (16,) * channels, tiff.SAMPLES: channels, tiff.ROWS_PER_STRIP: 8},
        **{getattr(tiff, name): value for name, value in tags.items()},
    }
    raw = [strip.astype(order + "u2").tobytes() for strip in strips]
    return tiff.tiff_file(storage, raw, b"II" if order == "<" else b"MM")


@pytest.mark.parametrize("order", ["<", ">"])
def test_byte_orders_planes_and_tiles_of_tiff_are_read_exactly(noise, order: str) -> None:
    pixels = noise(16, 32, 3)
    strips = [pixels[:8], pixels[8:]]
    assert np.array_equal(values(decode(tiff_of(pixels, strips, order))), pixels)
    planes = [strip[..., plane] for plane in range(3) for strip in strips]
    data = tiff_of(pixels, planes, order, PLANAR=2)
    assert np.array_equal(values(decode(data)), pixels)
    tiles = [pixels[:, :16], pixels[:, 16:]]
    data = tiff_of(pixels, tiles, order, TILE_WIDTH=16, TILE_HEIGHT=16)
    assert np.array_equal(values(decode(data)), pixels)


def test_tiff_with_white_as_zero_and_premultiplied_alpha(noise) -> None:
    gray = noise(8, 9, 1)
    inverted = tiff_of(gray, [gray], PHOTOMETRIC=0)
    assert np.array_equal(values(decode(inverted))[..., :1], 65_535 - gray)
    rgba = np.array([[[10_000, 20_000, 30_000, 32_768], [0, 0, 0, 0]]], dtype=np.uint16)
    photo = decode(tiff_of(rgba, [rgba], EXTRA_SAMPLES=1))
    difference = photo.pixels[:, 0, 0].int() - torch.tensor([20_000, 40_000, 60_000])
    assert difference.abs().max() <= 1
    assert photo.alpha.flatten().tolist() == [32_768, 0]
    unspecified = decode(tiff_of(rgba, [rgba], EXTRA_SAMPLES=0))
    assert unspecified.alpha is None
    assert unspecified.pixels[:, 0, 0].tolist() == [10_000, 20_000, 30_000]


@pytest.mark.parametrize("image_format", ["png", "tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_other_libraries_read_encoded_files(noise, image_format: str, channels: int) -> None:
    pixels = visible(noise(300, 700, channels))
    encoded = encode(photo_of(pixels), image_format)
    read = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read[..., [2, 1, 0, 3][:channels]], pixels)
    # Pillow reads the upper 8 bits.
    assert np.abs(np.asarray(opened(encoded)).astype(int) - pixels // 256).max() <= 1
    assert np.array_equal(values(decode(encoded)), pixels)


@pytest.mark.parametrize("image_format", ["jpeg", "webp", "bmp", "gif", "avif", HEIF])
def test_other_formats_are_rounded_to_8_bits(image_format: str) -> None:
    photo = photo_of(np.full((16, 16, 3), 128 * 257 + 100, dtype=np.uint16))
    decoded = decode(encode(photo, image_format, 100))
    assert decoded.pixels.dtype == torch.uint8
    assert (decoded.pixels.int() - 128).abs().max() <= 1


@pytest.mark.parametrize("image_format", ["png", "tiff"])
def test_16_bit_files_have_metadata(noise, image_format: str) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x8769], exif[0x8825] = "Camera", {0x829A: 0.25}, {1: "N"}
    profile = color_profiles.rgb_profile(color_profiles.ADOBE_RGB, 2.2)
    xmp = b'<d dc:rights="Ann"/>'
    metadata = {"exif": exif.tobytes(), "xmp": xmp, "dpi": (300.0, 150.0), "icc_profile": profile}
    written = opened(encode(photo_of(noise(9, 8, 4), **metadata), image_format))
    assert written.getexif()[0x010F] == "Camera"
    assert written.getexif().get_ifd(0x8769)[0x829A] == 0.25
    assert written.getexif().get_ifd(0x8825)[1] == "N"
    assert written.info["xmp"] == xmp
    assert written.info["icc_profile"] == profile
    assert written.info["dpi"] == pytest.approx((300, 150), abs=0.1)


def test_metadata_after_the_pixels_of_a_png_are_read(noise) -> None:
    data = encode(photo_of(noise(9, 8, 3), xmp=XMP), "png")
    start = data.index(b"iTXt") - 4
    end = data.index(b"IDAT") - 4
    last = data.index(b"IEND") - 4
    assert decode(data[:start] + data[end:last] + data[start:end] + data[last:]).xmp is not None


@pytest.mark.parametrize("image_format", ["png", "tiff"])
def test_the_orientation_of_16_bit_files_is_applied(noise, image_format: str) -> None:
    pixels = noise(6, 4, 3)
    for orientation, upright in (
        (6, np.rot90(pixels, -1)),
        (8, np.rot90(pixels)),
        (2, pixels[:, ::-1]),
    ):
        exif = Image.Exif()
        exif[0x0112] = orientation
        photo = decode(encode(photo_of(pixels, exif=exif.tobytes()), image_format))
        assert np.array_equal(values(photo), upright)
        assert not photo.exif


@pytest.mark.parametrize("source", ["png", "tiff"])
def test_strength_0_keeps_the_exact_pixels(noise, checkpoint_path: Path, source: str) -> None:
    pixels = visible(noise(40, 52, 4))
    data = png(pixels, RGBA) if source == "png" else encode(photo_of(pixels), "tiff")
    stylizer = FeedForwardStylizer(parse_checkpoint(checkpoint_path.read_bytes()), CPU)
    photo = decode(data)
    same = photo.with_pixels(stylizer.stylize(photo.pixels, strength=0.0))
    read = cv2.imdecode(np.frombuffer(encode(same, source), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read[..., [2, 1, 0, 3]], pixels)


def fine_ramp() -> torch.Tensor:
    """Return a ramp with finer steps than 8 bits, uint16, shape (3, 40, 48)."""
    ramp = torch.linspace(20_000, 24_000, 40 * 48).view(1, 40, 48)
    return torch.cat([ramp, ramp + 5_000, 30_000 - ramp]).to(torch.int32).to(torch.uint16)


def methods(checkpoint_path: Path) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    torch.manual_seed(0)
    network = build_network("super_resolution", {"factor": 2})
    enlarging = Checkpoint("super_resolution", network.state_dict(), {}, {"factor": 2})
    stylizer = FeedForwardStylizer(parse_checkpoint(checkpoint_path.read_bytes()), CPU)
    painting = to_depth(fine_ramp().flip(2), torch.uint8)
    settings = OptimizationSettings(iterations=2, levels=1)
    gatys = OptimizationEngine(settings, [(painting, 1.0)], CPU)
    return {
        "fast": stylizer.stylize,
        "super_resolution": SuperResolutionEngine(enlarging, CPU).transform,
        "gatys": gatys.transform,
    }


@pytest.mark.parametrize("method", ["fast", "super_resolution", "gatys"])
def test_every_method_keeps_the_bit_depth(checkpoint_path: Path, method: str) -> None:
    apply = methods(checkpoint_path)[method]
    deep = apply(fine_ramp())
    assert deep.dtype == torch.uint16
    assert len((deep.int() % 257).unique()) > 200, "the result has more than 8 bits of precision"
    shallow = apply(to_depth(fine_ramp(), torch.uint8))
    assert shallow.dtype == torch.uint8
    assert (to_unit_range(deep) - to_unit_range(shallow)).abs().mean() < 0.01


def test_an_enlarged_photo_keeps_16_bit_alpha() -> None:
    photo = photo_of(np.full((4, 4, 4), 12_345, dtype=np.uint16))
    large = photo.with_pixels(torch.zeros(3, 8, 8, dtype=torch.int32).to(torch.uint16))
    assert large.alpha.dtype == torch.uint16
    assert large.alpha.int().unique().tolist() == [12_345]


def test_a_color_profile_is_applied_with_16_bits() -> None:
    ramp = np.arange(65_536, dtype=np.uint16).reshape(256, 256, 1).repeat(3, axis=2)
    profile = color_profiles.rgb_profile(color_profiles.ADOBE_RGB, 563 / 256)
    compressed = zlib.compress(profile)
    photo = decode(png(ramp, RGB, (b"iCCP", b"Adobe\0\0" + compressed)))
    assert len(photo.pixels[1].int().unique()) > 50_000
    assert photo.icc_profile is not None


def test_every_value_of_both_depths_is_kept() -> None:
    for dtype, count in ((torch.uint8, 256), (torch.uint16, 65_536)):
        pixels = torch.arange(count, dtype=torch.int32).to(dtype)
        assert torch.equal(from_unit_range(to_unit_range(pixels), dtype).int(), pixels.int())
    beyond = torch.tensor([-1.0, 0.0, 1.0, 2.0])
    assert from_unit_range(beyond, torch.uint16).tolist() == [0, 0, 65_535, 65_535]
    assert to_depth(torch.tensor([0, 128, 255], dtype=torch.uint8), torch.uint16).tolist() == [
        *(0, 128 * 257, 65_535)
    ]


@pytest.mark.parametrize("image_format", ["png", "tiff"])
def test_truncated_and_oversized_files_are_refused(noise, image_format: str) -> None:
    data = encode(photo_of(noise(200, 300, 3)), image_format)
    with pytest.raises(ImageError, match="damaged"):
        decode(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"300x200 pixels, more than max_pixels \(59999\)"):
        decode(data, max_pixels=59_999)


def test_16_bit_gray_of_pillow_is_read_exactly(noise) -> None:
    gray = noise(7, 5, 1)
    for image_format in ("png", "tiff"):
        photo = decode(file_of(Image.fromarray(gray[..., 0]), image_format))
        assert np.array_equal(values(photo), gray.repeat(3, axis=2))
        with Image.open(io.BytesIO(encode(photo, image_format))) as written:
            assert written.mode == "RGB"
