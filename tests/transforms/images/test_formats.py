"""Every format is read and written: modes, alpha, sizes, frames, a missing extra."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.formats import (
    FORMAT_OF_EXTENSION,
    FORMATS,
    ImageError,
    format_of_file,
)
from stylebeam.transforms.images.photo import Photo
from stylebeam.transforms.images.segments import jpeg_segments
from tests.helpers.image_files import HEIF, file_of, needs_heif

Gradient = Callable[[int, int], Image.Image]

KNOWN_BY_OTHER_NAMES = {
    **dict.fromkeys((".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".mpo"), "jpeg"),
    **{".apng": "png", ".dib": "bmp", ".hif": "heif"},
}
ALL = [HEIF if name == "heif" else name for name in FORMATS]


def lab(color: tuple[int, int, int]) -> Image.Image:
    srgb, to = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = Image.new("RGB", (8, 8), color)
    return ImageCms.profileToProfile(image, srgb, to, outputMode="LAB")


def in_palette(color: tuple[int, int, int]) -> Image.Image:
    image = Image.new("P", (8, 8), 7)
    image.putpalette([0, 0, 0] * 7 + [*color])
    return image


_ADOBE = 0xEE
ORANGE = (200, 100, 50)
IMAGES = {
    "1": (Image.new("1", (8, 8), 1), (255, 255, 255)),
    "L": (Image.new("L", (8, 8), 77), (77, 77, 77)),
    "LA": (Image.new("LA", (8, 8), (77, 200)), (77, 77, 77)),
    "P": (in_palette(ORANGE), ORANGE),
    "RGB": (Image.new("RGB", (8, 8), ORANGE), ORANGE),
    "RGBA": (Image.new("RGBA", (8, 8), (*ORANGE, 200)), ORANGE),
    "CMYK": (Image.new("CMYK", (8, 8), (55, 155, 205, 0)), ORANGE),
    "YCbCr": (Image.new("RGB", (8, 8), ORANGE).convert("YCbCr"), ORANGE),
    "LAB": (lab(ORANGE), ORANGE),
}
# The modes that Pillow writes in each format. A YCbCr TIFF has JPEG compression.
FILES = [
    *[(mode, "png", {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")],
    *[(mode, "tiff", {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB")],
    *[(mode, "jpeg", {"quality": 100}) for mode in ("L", "RGB", "CMYK", "YCbCr")],
    *[(mode, "webp", {"lossless": True, "exact": True}) for mode in ("L", "RGB", "RGBA")],
    *[(mode, "gif", {}) for mode in ("1", "L", "P")],
    *[(mode, "bmp", {}) for mode in ("1", "L", "P", "RGB")],
    *[(mode, "avif", {"quality": 100}) for mode in ("L", "RGB", "RGBA")],
    ("YCbCr", "tiff", {"compression": "jpeg", "quality": 100}),
    ("1", "tiff", {"compression": "group4"}),
    ("RGB", "tiff", {"compression": "tiff_lzw"}),
]


@pytest.mark.parametrize(
    ("mode", "source", "options"), FILES, ids=[f"{mode}-{source}" for mode, source, _ in FILES]
)
def test_every_mode_is_decoded_to_rgb(mode: str, source: str, options: dict[str, object]) -> None:
    image, expected = IMAGES[mode]
    photo = decode(file_of(image, source, **options))
    assert photo.pixels.dtype == torch.uint8
    difference = photo.pixels.int() - torch.tensor(expected).view(3, 1, 1)
    assert difference.abs().max() <= 3
    if mode in ("LA", "RGBA"):
        assert photo.alpha.unique().tolist() == [200]


@needs_heif
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_every_mode_of_heif_is_decoded_to_rgb(mode: str) -> None:
    test_every_mode_is_decoded_to_rgb(mode, "heif", {"quality": -1})


def test_inverted_cmyk_of_adobe_jpegs_is_decoded() -> None:
    cyan = file_of(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "jpeg", quality=100)
    assert any(marker == _ADOBE for marker, _, _ in jpeg_segments(cyan))
    assert decode(cyan).pixels[:, 0, 0].tolist() == [0, 255, 255]


@pytest.mark.parametrize("image_format", ALL)
def test_encoded_files_have_the_requested_format(gradient: Gradient, image_format: str) -> None:
    data = encode(Photo(torch.from_numpy(_channels_first(gradient(31, 22)))), image_format, 95)
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == FORMATS[image_format].pillow
    assert format_of_file(data) is FORMATS[image_format]
    assert decode(data).size == (31, 22)


@pytest.mark.parametrize("image_format", ALL)
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 5000), (5000, 1)])
def test_extreme_sizes_are_kept(image_format: str, size: tuple[int, int]) -> None:
    pixels = torch.full((3, size[1], size[0]), 128, dtype=torch.uint8)
    if image_format == "heif" and max(size) > 1000:
        # The encoder refuses very narrow images.
        with pytest.raises(ImageError, match="cannot be written as heif"):
            encode(Photo(pixels), image_format)
        return
    decoded = decode(encode(Photo(pixels), image_format))
    assert decoded.size == size
    assert (decoded.pixels.int() - 128).abs().max() <= 3


@pytest.mark.parametrize("image_format", ALL)
def test_the_largest_side_of_a_format_is_a_limit(image_format: str) -> None:
    largest = FORMATS[image_format].largest_side
    side = largest or 70_000
    height = 64 if image_format == "heif" else 2
    pixels = torch.full((3, height, side + 1), 128, dtype=torch.uint8)
    assert decode(encode(Photo(pixels[..., :side]), image_format)).size == (side, height)
    if largest is not None:
        with pytest.raises(ImageError, match=f"a side may have at most {largest} pixels"):
            encode(Photo(pixels), image_format)


@pytest.mark.parametrize("image_format", ["png", "tiff", "webp", "avif", HEIF])
def test_alpha_is_kept(gradient: Gradient, image_format: str) -> None:
    image = gradient(40, 30)
    alpha = Image.linear_gradient("L").resize((40, 30))
    image.putalpha(alpha)
    photo = decode(encode(decode(file_of(image, "png")), image_format, 100))
    assert (photo.alpha.int() - torch.from_numpy(np.array(alpha))).abs().max() <= 4


def test_a_transparent_palette_entry_or_color_becomes_alpha() -> None:
    image = in_palette((0, 0, 255))
    image.putpixel((0, 0), 3)
    for data in (file_of(image, "png", transparency=3), file_of(image, "gif", transparency=3)):
        photo = decode(data)
        assert photo.alpha[0, 0, 0] == 0
        assert photo.alpha[0, 7, 7] == 255
        assert photo.pixels[:, 7, 7].tolist() == [0, 0, 255]
    image = Image.new("RGB", (2, 1), "red")
    image.putpixel((0, 0), (1, 2, 3))
    assert decode(file_of(image, "png", transparency=(1, 2, 3))).alpha.flatten().tolist() == [
        0,
        255,
    ]


@pytest.mark.parametrize("source", ["gif", "png", "webp", "tiff", "avif", "mpo"])
def test_the_first_of_several_frames_is_decoded(source: str) -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue", "green")]
    data = file_of(frames[0], source, save_all=True, append_images=frames[1:])
    red, green, blue = decode(data).pixels[:, 5, 5].tolist()
    assert red > 250
    assert max(green, blue) < 5


def test_32_bit_integers_and_floats_are_refused() -> None:
    with pytest.raises(ImageError, match="32-bit or signed integers are not supported"):
        decode(file_of(Image.new("I", (3, 3), 70_000), "tiff"))
    with pytest.raises(ImageError, match="floating-point numbers are not supported"):
        decode(file_of(Image.new("F", (3, 3), 0.5), "tiff"))


@pytest.mark.slow
def test_without_the_heif_extra_the_error_says_what_to_install() -> None:
    script = """
import sys
sys.modules["pillow_heif"] = None
import torch
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.formats import ImageError
from stylebeam.transforms.images.photo import Photo
photo = Photo(torch.zeros(3, 2, 2, dtype=torch.uint8))
heic = b"\\0\\0\\0\\x18ftypheic" + bytes(99)
for attempt in (lambda: decode(heic), lambda: encode(photo, "heif")):
    try:
        attempt()
    except ImageError as error:
        print(error)
"""
    root = Path(__file__).parents[3]
    printed = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert printed.count("pip install 'stylebeam[heif]'") == 2


def _channels_first(image: Image.Image) -> np.ndarray:
    return np.array(image).transpose(2, 0, 1).copy()


def test_formats_have_other_names() -> None:
    found = {extension: FORMAT_OF_EXTENSION[extension] for extension in KNOWN_BY_OTHER_NAMES}
    assert found == KNOWN_BY_OTHER_NAMES
    assert [FORMATS[name].extensions[0] for name in ("jpeg", "png", "heif", "bmp")] == [
        ".jpg",
        ".png",
        ".heic",
        ".bmp",
    ]


def test_the_first_picture_of_an_mpo_file_is_read(gradient: Gradient) -> None:
    left, right = gradient(40, 30), Image.new("RGB", (20, 10), "red")
    data = file_of(left, "MPO", save_all=True, append_images=[right], quality=95)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.n_frames) == ("MPO", 2)
    photo = decode(data)
    assert photo.size == (40, 30)
    encoded = encode(photo, "jpeg")
    with Image.open(io.BytesIO(encoded)) as image:
        assert image.format == "JPEG"  # not an MPO file without its second picture


@pytest.mark.parametrize("default", [True, False])
def test_the_default_image_of_an_apng_file_is_read(default: bool) -> None:
    """It is what a program shows that knows only PNG, a frame of the animation or not."""
    first, *others = (Image.new("RGB", (8, 8), color) for color in ("blue", "red", "lime"))
    data = file_of(first, "PNG", save_all=True, append_images=others, default_image=default)
    assert b"acTL" in data
    assert decode(data).pixels[:, 0, 0].tolist() == [0, 0, 255]
