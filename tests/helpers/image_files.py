"""What the tests of image files share: files made by Pillow, and how near two images are."""

import io

import pytest
import torch
from PIL import Image

from stylebeam.transforms.images.formats import HEIF_IS_READ

needs_heif = pytest.mark.skipif(not HEIF_IS_READ, reason="the extra heif is not installed")
HEIF = pytest.param("heif", marks=needs_heif)


def file_of(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    """What another program sees in a file."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    error = torch.mean((a.double() - b.double()) ** 2)
    return float(10 * torch.log10(255**2 / error))
