"""PSNR, SSIM and sharpness, compared with closed forms and published values."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from stylebeam.transforms.evaluation.metrics import psnr, sharpness, ssim
from stylebeam.transforms.inference.super_resolution import reduced


def gray(value: float, size: int = 24) -> torch.Tensor:
    return torch.full((1, 3, size, size), value)


def test_psnr_of_constant_images() -> None:
    # Luma has 219 of 255 levels.
    expected = 20 * math.log10(255 / (219 * 0.1))
    assert psnr(gray(0.5), gray(0.6)).item() == pytest.approx(expected, abs=1e-4)
    assert psnr(gray(0.5), gray(0.5)).item() == math.inf


def test_ssim_of_constant_images() -> None:
    x, y = 16 + 219 * 0.2, 16 + 219 * 0.8
    c1 = 2.55**2
    expected = (2 * x * y + c1) / (x**2 + y**2 + c1)
    assert ssim(gray(0.2), gray(0.8)).item() == pytest.approx(expected, rel=1e-5)
    assert ssim(gray(0.2), gray(0.2)).item() == pytest.approx(1)


def test_sharpness_is_the_power_of_the_laplacian() -> None:
    # The Laplacian multiplies a sine of x radians per pixel by 2 cos(x) - 2.
    slow, fast = 2 * math.pi / 16, 2 * math.pi / 4
    places = torch.arange(66)
    waves = [0.5 + 0.4 * torch.sin(speed * places).expand(1, 3, 20, 66) for speed in (slow, fast)]
    expected = ((2 - 2 * math.cos(slow)) / (2 - 2 * math.cos(fast))) ** 2
    assert sharpness(*waves).item() == pytest.approx(expected, rel=1e-5)
    assert sharpness(waves[0] / 2, waves[0]).item() == pytest.approx(0.25)


def test_ssim_of_an_inverted_image_is_negative() -> None:
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert ssim(image, image).item() == pytest.approx(1)
    assert ssim(1 - image, image).item() < -0.5


def test_green_has_the_largest_weight_and_blue_the_smallest() -> None:
    target, ratios = gray(0.5), []
    for channel in range(3):
        image = target.clone()
        image[:, channel] += 0.1
        ratios.append(psnr(image, target).item())
    assert ratios[1] < ratios[0] < ratios[2]


def test_the_border_is_ignored() -> None:
    image = gray(0.5, 40)
    damaged = image.clone()
    damaged[..., :4, :] = 0
    damaged[..., -4:] = 1
    assert psnr(damaged, image, border=4).item() == math.inf
    assert psnr(damaged, image, border=3).item() < math.inf
    assert ssim(damaged, image, border=4).item() == pytest.approx(1)
    assert ssim(damaged, image, border=3).item() < 0.99


def test_bicubic_enlargement_of_set5_has_the_published_values(shared: Path) -> None:
    ratios, similarities = [], []
    for file in sorted((shared / "super_resolution" / "Set5").glob("*.png")):
        image = pil_to_tensor(Image.open(file).convert("RGB")).unsqueeze(0) / 255
        height, width = (side // 4 * 4 for side in image.shape[2:])
        image = image[..., :height, :width]
        large = F.interpolate(reduced(image, 4), (height, width), mode="bicubic", antialias=True)
        large = (large * 255).round().clamp(0, 255) / 255
        ratios.append(psnr(large, image, border=4).item())
        similarities.append(ssim(large, image, border=4).item())
    assert len(ratios) == 5
    assert sum(ratios) / 5 == pytest.approx(28.43, abs=0.02)
    assert sum(similarities) / 5 == pytest.approx(0.8104, abs=0.002)
