"""The initial inverse Hessian: its weights for frequencies and for learned curvature."""

import math

import pytest
import torch
from torch import Tensor

from stylebeam.transforms.gatys.preconditioner import Preconditioner


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_a_wave_is_weighted_by_its_frequency() -> None:
    image = torch.zeros(1, 3, 64, 32)
    precondition = Preconditioner(image, 1.5)
    rows = torch.arange(64)
    waves = {
        cycles: torch.cos(2 * math.pi * cycles / 64 * rows)[:, None].expand(image.shape)
        for cycles in (4, 8, 16)
    }
    weights = {
        cycles: (precondition(wave) * wave).sum() / (wave * wave).sum()
        for cycles, wave in waves.items()
    }
    for cycles, wave in waves.items():
        torch.testing.assert_close(precondition(wave), weights[cycles] * wave, rtol=0, atol=1e-3)
    assert (weights[4] / weights[8]).item() == pytest.approx(2**1.5, rel=1e-4)
    assert (weights[8] / weights[16]).item() == pytest.approx(2**1.5, rel=1e-4)


@pytest.mark.parametrize("learned", [0, 1, 3])
def test_it_is_symmetric_and_positive_definite(learned: int) -> None:
    one, other = random(2, 1, 3, 35, 42)
    precondition = Preconditioner(one, 1.0)
    curvature = torch.linspace(0.1, 3, 42, dtype=torch.float64)
    for step in random(learned, 1, 3, 35, 42):
        precondition.learn(step, curvature * step)
    left, right = (one * precondition(other)).sum(), (precondition(one) * other).sum()
    assert left.item() == pytest.approx(right.item(), rel=1e-6)
    assert (one * precondition(one)).sum() > 0


@pytest.mark.parametrize("size", [(64, 96), (61, 91)])
def test_steps_are_longer_where_the_loss_curves_less(size: tuple[int, int]) -> None:
    image = torch.zeros(1, 3, *size, dtype=torch.float64)
    precondition = Preconditioner(image, 0.0)
    # Nine times as steep on the right, and four times for blue.
    curvature = torch.ones_like(image)
    curvature[..., size[1] // 2 :] *= 9
    curvature[:, 2] *= 4
    for step in random(20, 1, 3, *size):
        precondition.learn(step, curvature * step)
    weights = precondition(torch.ones_like(image))
    left, right = weights[..., :30].mean((0, 2, 3)), weights[..., -30:].mean((0, 2, 3))
    torch.testing.assert_close(left / right, torch.full_like(left, 3.0), rtol=0.02, atol=0)
    assert (left[0] / left[2]).item() == pytest.approx(2, rel=0.02)


def test_curvature_is_average_where_nothing_moved() -> None:
    image = torch.zeros(1, 3, 64, 96, dtype=torch.float64)
    precondition = Preconditioner(image, 0.0)
    step = random(1, 3, 64, 96)
    step[..., 48:] = 0
    precondition.learn(step, 5 * step)
    weights = precondition(torch.ones_like(image))
    torch.testing.assert_close(weights, torch.ones_like(image), rtol=0.05, atol=0)
