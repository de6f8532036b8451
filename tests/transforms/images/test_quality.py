"""PSNR, SSIM and sharpness against closed forms and the literature."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from stylebeam.transforms.images.quality import psnr, sharpness, ssim
from stylebeam.transforms.inference.super_resolution import reduced


def grey(value: float, size: int = 24) -> torch.Tensor:
    return torch.full((1, 3, size, size), value)


def test_psnr_of_flat_images() -> None:
    # Luminance spans 219 of 255 steps.
    expected = 20 * math.log10(255 / (219 * 0.1))
    assert psnr(grey(0.5), grey(0.6)).item() == pytest.approx(expected, abs=1e-4)
    assert psnr(grey(0.5), grey(0.5)).item() == math.inf


def test_ssim_of_flat_images() -> None:
    x, y = 16 + 219 * 0.2, 16 + 219 * 0.8
    c1 = 2.55**2
    expected = (2 * x * y + c1) / (x**2 + y**2 + c1)
    assert ssim(grey(0.2), grey(0.8)).item() == pytest.approx(expected, rel=1e-5)
    assert ssim(grey(0.2), grey(0.2)).item() == pytest.approx(1)


def test_sharpness_is_the_power_of_the_laplacian() -> None:
    # On a wave of so many radians a pixel the Laplacian is a multiplication by 2 cos(x) - 2.
    slow, fast = 2 * math.pi / 16, 2 * math.pi / 4
    places = torch.arange(66)
    waves = [0.5 + 0.4 * torch.sin(speed * places).expand(1, 3, 20, 66) for speed in (slow, fast)]
    expected = ((2 - 2 * math.cos(slow)) / (2 - 2 * math.cos(fast))) ** 2
    assert sharpness(*waves).item() == pytest.approx(expected, rel=1e-5)
    assert sharpness(waves[0] / 2, waves[0]).item() == pytest.approx(0.25)


def test_structure_turned_over_is_unlike() -> None:
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert ssim(image, image).item() == pytest.approx(1)
    assert ssim(1 - image, image).item() < -0.5


def test_green_counts_the_most_and_blue_the_least() -> None:
    target, ratios = grey(0.5), []
    for channel in range(3):
        image = target.clone()
        image[:, channel] += 0.1
        ratios.append(psnr(image, target).item())
    assert ratios[1] < ratios[0] < ratios[2]


def test_a_border_does_not_count() -> None:
    image = grey(0.5, 40)
    spoilt = image.clone()
    spoilt[..., :4, :] = 0
    spoilt[..., -4:] = 1
    assert psnr(spoilt, image, border=4).item() == math.inf
    assert psnr(spoilt, image, border=3).item() < math.inf
    assert ssim(spoilt, image, border=4).item() == pytest.approx(1)
    assert ssim(spoilt, image, border=3).item() < 0.99


def test_bicubic_enlargement_of_set5_is_what_the_literature_says(shared: Path) -> None:
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
