"""Colors under fully transparent pixels do not reach the visible ones."""

import time

import numpy as np
import pytest
import torch
from PIL import Image

from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.transparency import fill_transparent
from tests.helpers.image_files import HEIF, file_of


def logo(hidden: int | None, mode: str = "RGBA") -> Image.Image:
    """Return a disc on nothing; the hidden color is noise if it is None."""
    y, x = np.mgrid[0:61, 0:83]
    distance = np.hypot(x - 40, y - 30)
    pixels = np.random.default_rng(3).integers(0, 256, (61, 83, 4), dtype=np.uint8)
    if hidden is not None:
        pixels[...] = hidden
    pixels[distance < 25, :3] = np.stack([150 + x, 90 + y, x], axis=2)[distance < 25]
    pixels[..., 3] = np.clip(255 * (25 - distance), 0, 255)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("image_format", ["png", "tiff"])
def test_logos_that_look_alike_are_the_same_photo(image_format: str) -> None:
    photos = [decode(file_of(logo(hidden), image_format)) for hidden in (0, 255, None)]
    for photo in photos[1:]:
        assert torch.equal(photo.pixels, photos[0].pixels)
    visible = photos[0].alpha[0] > 0
    original = torch.from_numpy(np.array(logo(0)))[..., :3].permute(2, 0, 1)
    assert torch.equal(photos[0].pixels[:, visible], original[:, visible])


@pytest.mark.parametrize("image_format", ["webp", "avif", HEIF])
def test_lossy_logos_are_almost_the_same_photo(image_format: str) -> None:
    black, white = (decode(file_of(logo(hidden), image_format)) for hidden in (0, 255))
    opaque = (black.alpha[0] > 250) & (white.alpha[0] > 250)
    assert (black.pixels.int() - white.pixels.int())[:, opaque].abs().float().mean() < 12


def test_a_hidden_image_of_a_palette_is_not_seen() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([250, 0, 0, 0, 0, 250])
    image.putpixel((3, 3), 0)
    photo = decode(file_of(image, "gif", transparency=0))
    assert photo.pixels[:, 3, 3].tolist() == [0, 0, 250]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (6, 10), (33, 17)])
def test_every_size_and_depth_is_filled(size: tuple[int, int], dtype: torch.dtype) -> None:
    pixels = torch.randint(0, 250, (3, *size), dtype=torch.int32)
    alpha = torch.zeros(1, *size, dtype=torch.int32)
    alpha[0, -1, -1] = 1
    filled = fill_transparent(pixels.to(dtype), alpha.to(dtype))
    assert filled.dtype == dtype
    assert torch.equal(filled.int(), pixels[:, -1:, -1:].expand(3, *size))


def test_near_colors_count_most() -> None:
    """A red and a blue bar: each half of the space between has the color of its bar."""
    pixels = torch.zeros(3, 16, 64, dtype=torch.uint8)
    alpha = torch.zeros(1, 16, 64, dtype=torch.uint8)
    pixels[0, :, :4], pixels[2, :, -4:] = 200, 200
    alpha[..., :4] = alpha[..., -4:] = 255
    filled = fill_transparent(pixels, alpha)
    assert filled[0, :, 4:12].min() > 150
    assert filled[2, :, -12:-4].min() > 150
    assert filled[1].max() == 0


def test_what_is_opaque_or_invisible_is_not_copied() -> None:
    pixels = torch.zeros(3, 8, 8, dtype=torch.uint8)
    for value in (0, 1, 255):
        assert fill_transparent(pixels, torch.full_like(pixels[:1], value)) is pixels


def test_blocks_of_large_images_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.randint(0, 256, (3, 37, 50), dtype=torch.uint8)
    alpha = (torch.rand(1, 37, 50) > 0.9).to(torch.uint8)
    whole = fill_transparent(pixels, alpha)
    monkeypatch.setattr("stylebeam.transforms.images.transparency._BLOCK", 200)
    assert torch.equal(fill_transparent(pixels, alpha), whole)


def test_the_time_is_linear() -> None:
    pixels = torch.zeros(3, 1500, 1500, dtype=torch.uint8)
    alpha = torch.zeros(1, 1500, 1500, dtype=torch.uint8)
    alpha[0, 7, 7] = 255
    start = time.perf_counter()
    fill_transparent(pixels, alpha)
    assert time.perf_counter() - start < 5
