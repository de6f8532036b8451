"""Color spaces that a file names, without a profile, are converted to sRGB."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from stylebeam.transforms.images.color_profiles import to_srgb
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.directories import Tags, integer_entry, integers, write_tags
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.exif import parse_exif
from stylebeam.transforms.images.segments import PNG_SIGNATURE
from stylebeam.transforms.images.thumbnails import thumbnail
from stylebeam.transforms.images.tiff import encode_tiff
from tests.helpers import color_profiles
from tests.helpers.camera_photo import text
from tests.helpers.image_files import HEIF, file_of, needs_heif

COLOR = (200, 60, 90)
CURVE = color_profiles.parametric_curve(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
P3 = color_profiles.curved_rgb_profile(CURVE)
ADOBE_RGB = color_profiles.rgb_profile(color_profiles.ADOBE_RGB, 563 / 256)
BT_2020, DISPLAY_P3, SRGB, PQ = 9, 12, 13, 16


def plain() -> Image.Image:
    return Image.new("RGB", (64, 64), COLOR)


def expected(profile: bytes) -> np.ndarray:
    """Return what the color is in sRGB, from an ICC profile of the tests."""
    color = np.asarray(to_srgb(plain(), profile))[0, 0].astype(int)
    assert np.abs(color - COLOR).max() > 8
    return color


def difference(data: bytes, color: object) -> int:
    return np.abs(decode(data).pixels.numpy()[:, 30, 30].astype(int) - color).max()


def adobe_exif(color_space: int, index: str | None) -> bytes:
    tags = Tags(exif={0xA001: integer_entry("<", color_space)})
    tags.interop = {1: text(index)} if index else {}
    return b"Exif\0\0" + write_tags(tags)


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "avif", HEIF])
def test_adobe_rgb_of_exif_is_converted(image_format: str) -> None:
    data = file_of(plain(), image_format, quality=95, exif=adobe_exif(65_535, "R03"))
    assert difference(data, expected(ADOBE_RGB)) <= 4
    photo = decode(data)
    assert photo.icc_profile is None
    tags = parse_exif(decode(encode(photo, "jpeg")).exif)
    assert integers(tags.exif[0xA001], "<") == (1,)


def test_the_unofficial_number_of_adobe_rgb_is_known() -> None:
    data = file_of(plain(), "png", exif=adobe_exif(2, None))
    assert difference(data, expected(ADOBE_RGB)) <= 1


def test_adobe_rgb_of_a_tiff_with_16_bits_is_converted() -> None:
    pixels = np.full((64, 64, 3), COLOR, np.uint16) * 257
    tags = Tags(exif={0xA001: integer_entry("<", 65_535)}, interop={1: text("R03")})
    photo = decode(encode_tiff(pixels.astype(np.uint16), tags))
    assert np.abs(photo.pixels[:, 5, 5].int().numpy() / 257 - expected(ADOBE_RGB)).max() <= 1


@pytest.mark.parametrize(
    ("color_space", "index"), [(1, "R98"), (1, "R03"), (65_535, "R98"), (65_535, None)]
)
def test_other_colors_of_exif_are_srgb(color_space: int, index: str | None) -> None:
    data = file_of(plain(), "png", exif=adobe_exif(color_space, index))
    assert difference(data, COLOR) == 0


def test_a_profile_counts_more_than_exif() -> None:
    exif = adobe_exif(65_535, "R03")
    assert difference(file_of(plain(), "png", exif=exif, icc_profile=P3), expected(P3)) <= 1


def test_a_profile_beside_a_text_that_expands_is_used() -> None:
    info = PngInfo()
    info.add_text("Bomb", "0" * 2**23, zip=True)
    data = file_of(plain(), "png", pnginfo=info, icc_profile=P3)
    assert difference(data, expected(P3)) <= 1
    assert decode(data).icc_profile is not None


def test_a_thumbnail_has_the_colors_of_the_photo() -> None:
    exif = adobe_exif(65_535, "R03")
    small = thumbnail(file_of(plain(), "jpeg", quality=100, exif=exif), (8, 8))
    assert np.abs(np.asarray(small)[4, 4].astype(int) - expected(ADOBE_RGB)).max() <= 3


@needs_heif
def test_display_p3_of_heic_is_converted() -> None:
    nclx = {"matrix_coefficients": 6, "full_range_flag": 1, "transfer_characteristics": SRGB}
    data = file_of(plain(), "heif", quality=100, color_primaries=DISPLAY_P3, **nclx)
    assert difference(data, expected(P3)) <= 3
    data = file_of(plain(), "heif", quality=100, color_primaries=1, **nclx)
    assert difference(data, COLOR) <= 3


def avif(primaries: int, transfer: int) -> bytes:
    data = file_of(plain(), "avif", quality=100)
    start = data.index(b"colrnclx") + 8
    return data[:start] + struct.pack(">HH", primaries, transfer) + data[start + 4 :]


def png(primaries: int, transfer: int) -> bytes:
    body = b"cICP" + bytes([primaries, transfer, 0, 1])
    data = file_of(plain(), "png")
    header = len(PNG_SIGNATURE) + 25
    chunk = struct.pack(">L", 4) + body + struct.pack(">L", zlib.crc32(body))
    return data[:header] + chunk + data[header:]


@pytest.mark.parametrize("make", [avif, png])
def test_display_p3_of_avif_and_png_is_converted(make) -> None:
    assert difference(make(DISPLAY_P3, SRGB), expected(P3)) <= 3
    assert difference(make(1, SRGB), COLOR) <= 3
    assert difference(make(BT_2020, PQ), COLOR) <= 3, "left as it is"
    # By the matrix of ITU-R BT.2087: more saturated than Display P3.
    red, *_ = decode(make(BT_2020, 1)).pixels[:, 30, 30].tolist()
    assert red > expected(P3)[0]
