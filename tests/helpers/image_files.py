"""Image files written and read by Pillow, and PSNR."""

import io

import pytest
import torch
from PIL import Image

from stylebeam.transforms.images.formats import FORMATS

needs_heif = pytest.mark.skipif(
    not FORMATS["heif"].is_available, reason="the extra heif is not installed"
)
HEIF = pytest.param("heif", marks=needs_heif)


def file_of(image: Image.Image, image_format: str, **options: object) -> bytes:
    """Return an image as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    """Return the image as Pillow reads it."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the peak signal-to-noise ratio of 8-bit pixels in decibels."""
    error = torch.mean((a.double() - b.double()) ** 2)
    return float(10 * torch.log10(255**2 / error))
