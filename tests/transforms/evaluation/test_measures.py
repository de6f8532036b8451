"""The measures of a picture, with closed forms."""

import math
from collections.abc import Collection

import pytest
import torch
from torch import Tensor

from stylebeam.transforms.evaluation.measures import (
    badness,
    measure_picture,
    painting_target,
    photo_target,
)
from stylebeam.transforms.losses.perceptual import LossSettings, PerceptualLoss

LAYER = "relu1_1"


class Pixels:
    """A loss network whose only features are the pixels."""

    layers = frozenset({LAYER})

    def __call__(self, images: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        return {LAYER: images}

    def readout(self, layer: str) -> None:
        return None


def losses() -> dict[str, PerceptualLoss]:
    settings = LossSettings({LAYER: 2.0}, {LAYER: 3.0})
    return {name: PerceptualLoss(Pixels(), settings) for name in ("one", "other")}


def noise(seed: int = 0, size: int = 64) -> Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed))


def measures(picture: Tensor, photo: Tensor, painting: Tensor) -> dict[str, float]:
    used = losses()
    return measure_picture(
        picture, photo_target(photo, used), painting_target(painting, used), used
    )


def test_the_photo_itself_has_all_of_the_style_left() -> None:
    found = measures(noise(), noise(), noise(1, 80))
    assert found["content"] == 0
    assert found["style left (one)"] == found["style left (other)"] == pytest.approx(1)
    assert found["sharpness"] == pytest.approx(1)


def test_the_painting_itself_has_none_of_the_style_left() -> None:
    found = measures(noise(1), noise(), noise(1))
    assert found["content"] == pytest.approx(2 * (noise(1) - noise()).square().mean().item())
    assert found["style left (one)"] == pytest.approx(0, abs=1e-9)
    assert found["tone"] == pytest.approx(1)
    assert found["palette"] == pytest.approx(0, abs=1e-9)


def test_style_left_is_a_ratio_of_style_losses() -> None:
    # Gram matrices are quadratic in the features, and the loss in the Gram matrices.
    found = measures(0.5 * noise(), 0.25 * noise(), noise())
    expected = ((0.5**2 - 1) / (0.25**2 - 1)) ** 2
    assert found["style left (one)"] == pytest.approx(expected, rel=1e-4)
    assert found["sharpness"] == pytest.approx(4, rel=1e-4)


def test_the_grid_is_an_amplitude_in_levels() -> None:
    waves = 4 / 255 * torch.cos(2 * math.pi / 4 * torch.arange(64.0)).expand(1, 3, 64, 64)
    assert measures(0.5 + waves, noise(), noise(1))["grid"] == pytest.approx(4, rel=1e-3)


def test_the_worst_tone_is_far_from_1_the_worst_sharpness_small_and_all_else_large() -> None:
    assert badness("tone", 0.5) > badness("tone", 1.2) > badness("tone", 1.0)
    assert badness("sharpness", 0.1) > badness("sharpness", 2.0)
    assert badness("palette", 3.0) > badness("palette", 2.0)
