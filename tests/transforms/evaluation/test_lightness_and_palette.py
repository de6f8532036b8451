"""Lightness and palette against known answers."""

import pytest
import torch

from stylebeam.transforms.evaluation.lightness_and_palette import lab, palette_distance, tone


def constant(*rgb: float, side: int = 8) -> torch.Tensor:
    return torch.tensor(rgb).view(1, 3, 1, 1).expand(1, 3, side, side)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((1, 1, 1), (100, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
        ((0.5, 0.5, 0.5), (53.39, 0, 0)),
    ],
)
def test_colors_in_cielab(rgb: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert lab(constant(*rgb))[0, :, 0, 0].tolist() == pytest.approx(expected, abs=0.05)


def test_tone_is_the_contrast_of_lightness() -> None:
    painting = torch.cat([constant(0, 0, 0), constant(1, 1, 1)], 3)
    # Gray of L* 25 and 75.
    low, high = 0.2331, 0.7242
    picture = torch.cat([constant(low, low, low), constant(high, high, high)], 2)
    assert tone(painting, painting) == pytest.approx(1)
    assert tone(picture, painting) == pytest.approx(0.5, abs=0.01)
    assert tone(constant(1, 0, 0), painting) == pytest.approx(0, abs=1e-6)


def test_equal_palettes_have_no_distance_wherever_the_colors_are() -> None:
    image = torch.rand(1, 3, 60, 80, generator=torch.Generator().manual_seed(1))
    assert palette_distance(image, image.flip(2, 3)) == pytest.approx(0, abs=1e-9)
    smooth = torch.linspace(0, 1, 600).expand(1, 3, 400, 600)
    assert palette_distance(smooth, smooth[..., ::8]) == pytest.approx(0, abs=0.5)


def test_a_shift_of_lightness_counts_as_its_mean_part_in_all_directions() -> None:
    """Half of it: the mean absolute cosine between a random direction and an axis."""
    low, high = 0.2331, 0.7242
    distance = palette_distance(constant(low, low, low), constant(high, high, high))
    assert distance == pytest.approx(50 / 2, rel=0.1)
