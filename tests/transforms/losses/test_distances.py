"""Distances against closed-form values."""

import math

import pytest
import torch

from stylebeam.transforms.losses.distances import Distance
from stylebeam.transforms.losses.functional import (
    feature_reconstruction_loss,
    pixel_loss,
    style_reconstruction_loss,
)

NAMES = ("squared_error", "frobenius", "charbonnier", "msce")


def pair(*difference: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return values with the given differences from a target, and the target, (1, 1, 1, n)."""
    target = torch.arange(1.0, len(difference) + 1, dtype=torch.float64).view(1, 1, 1, -1)
    return target + torch.tensor(difference, dtype=torch.float64), target


def test_closed_forms() -> None:
    values, target = pair(3.0, -4.0, 0.0)
    assert Distance("squared_error")(values, target).item() == pytest.approx(25)
    assert Distance("frobenius")(values, target).item() == pytest.approx(5)
    expected = math.sqrt(9.25) + math.sqrt(16.25) + 0.5
    assert Distance("charbonnier", 0.5)(values, target).item() == pytest.approx(expected)


def test_the_sum_is_divided_by_the_count() -> None:
    values, target = pair(3.0, -4.0, 0.0)
    assert Distance("squared_error")(values, target, 3).item() == pytest.approx(25 / 3)
    assert Distance("frobenius")(values, target, 3).item() == pytest.approx(5 / math.sqrt(3))
    expected = (math.sqrt(9.25) + math.sqrt(16.25) + 0.5) / 3
    assert Distance("charbonnier", 0.5)(values, target, 3).item() == pytest.approx(expected)


def test_the_charbonnier_distance_is_linear_for_large_and_quadratic_for_small_errors() -> None:
    far = Distance("charbonnier", 1e-3)(*pair(100.0)).item()
    assert far == pytest.approx(100, rel=1e-9)
    near = Distance("charbonnier", 10.0)(*pair(0.1)).item() - 10
    assert near == pytest.approx(0.1**2 / 20, rel=1e-3)


def test_msce_depends_on_edges_alone() -> None:
    step = torch.zeros(1, 1, 16, 16)
    step[..., 8:] = 1
    msce = Distance("msce")
    assert msce(step, step).item() == 0
    # The same edge in other tones; no edge, two columns of 16 pixels missing; a shifted edge.
    assert msce(3 * step + 1, step).item() == pytest.approx(0, abs=1e-3)
    assert msce(torch.zeros_like(step), step).item() == pytest.approx(32, rel=0.02)
    assert msce(step.roll(3, 3) * step, step).item() == pytest.approx(64, rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_each_member_of_a_batch_has_its_own_distance(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    values, target = torch.rand(2, 3, 4, 12, 10, generator=generator, dtype=torch.float64)
    distance = Distance(name)
    each = torch.cat([distance(v[None], t[None]) for v, t in zip(values, target, strict=True)])
    torch.testing.assert_close(distance(values, target), each)
    assert feature_reconstruction_loss(values, target, distance=distance).item() == pytest.approx(
        distance(values, target, 4 * 12 * 10).mean().item()
    )
    assert pixel_loss(values, target, distance).item() == pytest.approx(
        distance(values, target, 4 * 12 * 10).mean().item()
    )


@pytest.mark.parametrize("name", NAMES)
def test_several_gram_matrices_can_have_one_target(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    grams = torch.rand(2, 8, 8, generator=generator, dtype=torch.float64)
    target = torch.rand(1, 8, 8, generator=generator, dtype=torch.float64)
    expected = Distance(name)(grams, target.expand(2, 8, 8)).mean().item()
    assert style_reconstruction_loss(grams, target, Distance(name)).item() == pytest.approx(
        expected
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_right_and_finite_where_both_are_equal(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    values, target = torch.rand(2, 1, 2, 6, 5, generator=generator, dtype=torch.float64)
    distance = Distance(name, 0.1)
    if name != "msce":  # The direction across an edge is not differentiated.
        assert torch.autograd.gradcheck(lambda v: distance(v, target), values.requires_grad_())
    equal = target.clone().requires_grad_()
    distance(equal, target).sum().backward()
    assert torch.isfinite(equal.grad).all()


def test_half_precision_is_summed_in_float32() -> None:
    values = torch.full((1, 1, 300, 300), 1.0, dtype=torch.bfloat16)
    for name, expected in (("squared_error", 9e4), ("frobenius", 300), ("charbonnier", 9e4)):
        distance = Distance(name)(values, torch.zeros_like(values))
        assert distance.dtype == torch.float32
        assert distance.item() == pytest.approx(expected, rel=1e-4)


def test_an_unknown_distance_and_an_epsilon_of_zero_are_errors() -> None:
    with pytest.raises(ValueError, match="no distance 'huber'; there is squared_error, frobenius"):
        Distance("huber")
    for epsilon in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="epsilon must be positive"):
            Distance("charbonnier", epsilon)
