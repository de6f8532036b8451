"""Minimizers on losses with known minima."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stylebeam.transforms.gatys.minimizers import Adam, Lbfgs, Minimizer
from stylebeam.transforms.gatys.preconditioner import Preconditioner

Loss = Callable[[Tensor], Tensor]


def minimize(minimizer: Minimizer, loss: Loss, evaluations: int) -> list[float]:
    """Run a minimizer for a number of evaluations; return the losses."""
    losses = []
    for _ in range(evaluations):
        trial = minimizer.trial.detach().clone().requires_grad_()
        value = loss(trial)
        [gradient] = torch.autograd.grad(value, [trial])
        losses.append(value.item())
        minimizer.update(losses[-1], gradient)
    return losses


def quadratic(size: int = 20, condition: float = 100.0) -> tuple[Loss, Tensor]:
    """Return a convex quadratic of an image, shape (1, 1, 1, size), and its minimum."""
    generator = torch.Generator().manual_seed(0)
    axes, _ = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    curvatures = torch.logspace(0, math.log10(condition), size, dtype=torch.float64)
    hessian = axes @ torch.diag(curvatures) @ axes.T
    minimum = torch.rand(1, 1, 1, size, generator=generator, dtype=torch.float64)

    def loss(image: Tensor) -> Tensor:
        away = (image - minimum).flatten()
        return 0.5 * away @ hessian @ away

    return loss, minimum


def test_lbfgs_finds_the_minimum_of_an_ill_conditioned_quadratic() -> None:
    loss, minimum = quadratic()
    minimizer = Lbfgs(torch.zeros_like(minimum), history_size=20, bounded=False)
    minimize(minimizer, loss, 100)
    torch.testing.assert_close(minimizer.image, minimum, rtol=0, atol=1e-5)


def test_lbfgs_finds_the_minimum_of_a_curved_valley() -> None:
    def rosenbrock(image: Tensor) -> Tensor:
        x, y = image.flatten()
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    start = torch.tensor([-1.2, 1.0], dtype=torch.float64).view(1, 1, 1, 2)
    minimizer = Lbfgs(start, history_size=10, bounded=False)
    minimize(minimizer, rosenbrock, 120)
    torch.testing.assert_close(minimizer.image, torch.ones_like(start), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["lbfgs", "adam"])
def test_the_minimum_within_the_bounds_is_found(kind: str) -> None:
    target = torch.tensor([-0.5, 0.2, 0.9, 1.7], dtype=torch.float64).view(1, 1, 1, 4)
    weights = torch.tensor([1.0, 10.0, 100.0, 5.0], dtype=torch.float64)
    trials = []

    def loss(image: Tensor) -> Tensor:
        trials.append(image.detach())
        return (weights * (image - target) ** 2).sum()

    start = torch.full_like(target, 0.5)
    minimizer: Minimizer = (
        Lbfgs(start, history_size=5, bounded=True)
        if kind == "lbfgs"
        else Adam(start, learning_rate=0.02, bounded=True)
    )
    minimize(minimizer, loss, 60 if kind == "lbfgs" else 400)
    tolerance = 1e-6 if kind == "lbfgs" else 1e-3
    torch.testing.assert_close(minimizer.image, target.clamp(0, 1), rtol=0, atol=tolerance)
    assert all(trial.min() >= 0 and trial.max() <= 1 for trial in trials)


def test_lbfgs_never_moves_to_a_worse_image() -> None:
    def wavy(image: Tensor) -> Tensor:
        return (image**2 + 0.02 * torch.sin(40 * image)).sum()

    minimizer = Lbfgs(torch.full((1, 1, 1, 6), 1.3, dtype=torch.float64), 5, bounded=False)
    best = math.inf
    for _ in range(60):
        minimize(minimizer, wavy, 1)
        here = wavy(minimizer.image).item()
        assert here <= best + 1e-4 * abs(here)
        best = min(best, here)
    assert best < wavy(torch.full((6,), 1.3)).item() / 10


@pytest.mark.parametrize("wall", [math.nan, math.inf])
def test_lbfgs_recovers_from_a_loss_that_is_not_finite(wall: float) -> None:
    def walled(image: Tensor) -> Tensor:
        # The first step reaches beyond the wall.
        loss = ((image - 0.999) ** 2).sum()
        return loss if image.max() < 1 else loss * wall

    minimizer = Lbfgs(torch.full((1, 1, 1, 3), 0.99, dtype=torch.float64), 5, bounded=False)
    losses = minimize(minimizer, walled, 40)
    assert not all(map(math.isfinite, losses))
    torch.testing.assert_close(
        minimizer.image, torch.full_like(minimizer.image, 0.999), rtol=0, atol=1e-5
    )


def test_lbfgs_continues_with_another_loss() -> None:
    loss, minimum = quadratic()
    minimizer = Lbfgs(torch.zeros_like(minimum), history_size=20, bounded=False)
    minimize(minimizer, loss, 100)
    minimizer.restart()
    fresh = Lbfgs(minimizer.image, history_size=20, bounded=False)
    # It has the same curvature, so the remembered steps help.
    losses = minimize(minimizer, lambda image: loss(image - 0.25), 15)
    assert losses[-1] < 0.1 * minimize(fresh, lambda image: loss(image - 0.25), 15)[-1]
    minimize(minimizer, lambda image: loss(image - 0.25), 80)
    torch.testing.assert_close(minimizer.image, minimum + 0.25, rtol=0, atol=1e-4)


def test_the_first_step_with_a_steeper_loss_is_careful() -> None:
    curvature = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    minimizer = Lbfgs(torch.ones_like(curvature), history_size=20, bounded=False)
    minimize(minimizer, lambda image: (curvature * image**2).sum(), 10)
    minimizer.restart()
    before, after = minimize(minimizer, lambda image: (3 * curvature * (image - 1) ** 2).sum(), 2)
    assert after < before


def test_lbfgs_with_a_rounded_history_finds_the_minimum() -> None:
    loss, minimum = quadratic()
    minimizer = Lbfgs(torch.zeros_like(minimum), 20, bounded=False, precision=torch.bfloat16)
    minimize(minimizer, loss, 200)
    torch.testing.assert_close(minimizer.image, minimum, rtol=0, atol=1e-4)


def test_a_preconditioner_that_learns_curvature_saves_evaluations() -> None:
    # Eight stripes, each steeper than the one before: too many for a history of three steps.
    curvature = torch.logspace(0, 3, 8, dtype=torch.float64).repeat_interleave(16)
    image = torch.zeros(1, 3, 32, 128, dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    minimum = torch.randn(image.shape, generator=generator, dtype=torch.float64)

    def loss(values: Tensor) -> Tensor:
        return (curvature * (values - minimum) ** 2).sum()

    def final_loss(preconditioner: Preconditioner | None) -> float:
        return minimize(Lbfgs(image, 3, False, preconditioner), loss, 40)[-1]

    assert final_loss(Preconditioner(image, 0.0)) < 0.1 * final_loss(None)


def test_adam_takes_the_same_steps_as_torch() -> None:
    loss, minimum = quadratic()
    minimizer = Adam(torch.zeros_like(minimum), learning_rate=0.1, bounded=False)
    minimize(minimizer, loss, 7)
    expected = torch.zeros_like(minimum, requires_grad=True)
    optimizer = torch.optim.Adam([expected], lr=0.1)
    for _ in range(7):
        optimizer.zero_grad()
        loss(expected).backward()
        optimizer.step()
    assert torch.equal(minimizer.image, expected.detach())
