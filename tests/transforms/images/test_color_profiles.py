"""Conversion to sRGB in 8 and 16 bits, compared with LittleCMS and closed forms."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from stylebeam.transforms.images.color_profiles import (
    SRGB_PROFILE,
    sixteen_bit_to_srgb,
    to_srgb,
)
from tests.helpers import color_profiles as profiles

RGB_PROFILES = {
    "adobe_rgb": profiles.rgb_profile(profiles.ADOBE_RGB, 563 / 256),
    "display_p3": profiles.curved_rgb_profile(
        profiles.parametric_curve(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    ),
    "linear": profiles.rgb_profile(profiles.DISPLAY_P3, 1),
    "power": profiles.curved_rgb_profile(profiles.parametric_curve(0, 1.8)),
    "power_from": profiles.curved_rgb_profile(profiles.parametric_curve(1, 2, 1.25, -0.25)),
    "power_above": profiles.curved_rgb_profile(profiles.parametric_curve(2, 2, 1.1, -0.1, 0)),
    "offsets": profiles.curved_rgb_profile(
        profiles.parametric_curve(4, 2, 0.9, 0.05, 1.17, 0.1, 0.0975, 0)
    ),
    "table": profiles.curved_rgb_profile(profiles.table_curve([0, 0.1, 0.3, 0.6, 1])),
}


@pytest.fixture(scope="module")
def colors() -> np.ndarray:
    """4,096 colors from the whole RGB cube, uint8, shape (64, 64, 3)."""
    steps = np.arange(16, dtype=np.uint8) * 17
    return np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(64, 64, 3)


def test_the_profile_of_results_has_a_constant_date() -> None:
    assert struct.unpack(">6H", SRGB_PROFILE[24:36]) == (2026, 1, 1, 0, 0, 0)
    assert SRGB_PROFILE[40:44] == b"APPL"
    assert SRGB_PROFILE[84:100] == bytes(16), "the profile ID, which is not calculated"
    description = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(SRGB_PROFILE)))
    assert description.strip() == "sRGB built-in"
    fresh = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert SRGB_PROFILE[100:] == fresh[100:]


def test_converted_images_carry_the_constant_profile(colors: np.ndarray) -> None:
    # Pillow writes an image's own profile into a WebP or PNG, as in the pictures of a report.
    converted = to_srgb(Image.fromarray(colors), RGB_PROFILES["adobe_rgb"])
    assert converted.info["icc_profile"] == SRGB_PROFILE


@pytest.mark.parametrize("name", RGB_PROFILES)
def test_16_bits_are_converted_as_littlecms_converts_8_bits(name: str, colors: np.ndarray) -> None:
    expected = np.asarray(to_srgb(Image.fromarray(colors), RGB_PROFILES[name])).astype(float)
    deep = sixteen_bit_to_srgb(colors.astype(np.uint16) * 257, RGB_PROFILES[name])
    assert deep.dtype == np.uint16
    # LittleCMS keeps black and white, whatever the profile says.
    assert np.abs(deep / 257 - expected).reshape(-1, 3)[1:-1].max() <= 1.0
    assert np.abs(expected - colors).max() > 5, "the profile changes something"


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
def test_16_bit_gray_keeps_its_precision(gamma: float) -> None:
    gray = np.arange(65_536, dtype=np.uint16).reshape(256, 256, 1)
    srgb = sixteen_bit_to_srgb(gray, profiles.gray_profile(gamma))
    light = (gray[..., 0] / 65_535) ** (round(256 * gamma) / 256)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert srgb.shape == (256, 256, 3)
    assert np.abs(srgb - 65_535 * encoded[..., None]).max() < 2


def test_a_table_profile_is_applied_in_8_bits() -> None:
    lightness = [0, 0, 0, 0, 0, 0, 50, 100]
    profile = profiles.table_profile(b"RGB ", lightness)
    pixels = np.array([[[65_535, 65_535, 0], [65_535, 65_535, 65_535]]], dtype=np.uint16)
    srgb = sixteen_bit_to_srgb(pixels, profile)
    assert srgb.dtype == np.uint8
    # L* 50 is 119 in sRGB.
    assert np.abs(srgb.astype(int) - [[[119] * 3, [255] * 3]]).max() <= 1


def test_cmyk_is_converted_with_its_profile() -> None:
    lightness = [100 if not inks else 50 if inks == 8 else 0 for inks in range(16)]
    profile = profiles.table_profile(b"CMYK", lightness)
    image = Image.new("CMYK", (2, 1))
    image.putpixel((1, 0), (255, 0, 0, 0))
    srgb = np.asarray(to_srgb(image, profile)).astype(int)
    assert np.abs(srgb - [[[255] * 3, [119] * 3]]).max() <= 1
    assert np.asarray(to_srgb(image, None))[0, 1].tolist() == [0, 255, 255]


@pytest.mark.parametrize(
    "profile", [b"no profile", profiles.gray_profile(1), profiles.table_profile(b"CMYK", [0] * 16)]
)
def test_damaged_profiles_and_profiles_for_other_channels_are_ignored(
    profile: bytes, colors: np.ndarray
) -> None:
    deep = colors.astype(np.uint16) * 257
    assert np.array_equal(sixteen_bit_to_srgb(deep, profile), deep)
    assert np.array_equal(np.asarray(to_srgb(Image.fromarray(colors), profile)), colors)


@pytest.mark.parametrize("cut", [150, 300, -10])
def test_a_truncated_profile_does_not_raise(cut: int, colors: np.ndarray) -> None:
    profile = RGB_PROFILES["adobe_rgb"][:cut]
    assert sixteen_bit_to_srgb(colors.astype(np.uint16) * 257, profile).shape == (64, 64, 3)


def test_littlecms_reads_the_profiles_of_these_tests() -> None:
    for profile in RGB_PROFILES.values():
        read = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
        assert read.xcolor_space == "RGB "
