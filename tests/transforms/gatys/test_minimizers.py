"""Minimisers on losses whose minima are known."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stylebeam.transforms.gatys.minimizers import Adam, Lbfgs, Minimizer
from stylebeam.transforms.gatys.preconditioner import Preconditioner

Loss = Callable[[Tensor], Tensor]


def minimize(minimizer: Minimizer, loss: Loss, evaluations: int) -> list[float]:
    """Have a minimiser evaluate a loss so many times; return what it was told."""
    told = []
    for _ in range(evaluations):
        trial = minimizer.trial.detach().clone().requires_grad_()
        value = loss(trial)
        [gradient] = torch.autograd.grad(value, [trial])
        told.append(value.item())
        minimizer.update(told[-1], gradient)
    return told


def quadratic(size: int = 20, condition: float = 100.0) -> tuple[Loss, Tensor]:
    """Return a convex quadratic of an image, shape (1, 1, 1, size), and where its minimum is."""
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
    minimizer = Lbfgs(torch.zeros_like(minimum), memory=20, bounded=False)
    minimize(minimizer, loss, 100)
    torch.testing.assert_close(minimizer.image, minimum, rtol=0, atol=1e-5)


def test_lbfgs_finds_the_minimum_of_a_curved_valley() -> None:
    def rosenbrock(image: Tensor) -> Tensor:
        x, y = image.flatten()
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    start = torch.tensor([-1.2, 1.0], dtype=torch.float64).view(1, 1, 1, 2)
    minimizer = Lbfgs(start, memory=10, bounded=False)
    minimize(minimizer, rosenbrock, 120)
    torch.testing.assert_close(minimizer.image, torch.ones_like(start), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["lbfgs", "adam"])
def test_bounds_hold_and_the_minimum_within_them_is_found(kind: str) -> None:
    target = torch.tensor([-0.5, 0.2, 0.9, 1.7], dtype=torch.float64).view(1, 1, 1, 4)
    weights = torch.tensor([1.0, 10.0, 100.0, 5.0], dtype=torch.float64)
    trials = []

    def loss(image: Tensor) -> Tensor:
        trials.append(image.detach())
        return (weights * (image - target) ** 2).sum()

    start = torch.full_like(target, 0.5)
    minimizer: Minimizer = (
        Lbfgs(start, memory=5, bounded=True)
        if kind == "lbfgs"
        else Adam(start, learning_rate=0.02, bounded=True)
    )
    minimize(minimizer, loss, 60 if kind == "lbfgs" else 400)
    tolerance = 1e-6 if kind == "lbfgs" else 1e-3
    torch.testing.assert_close(minimizer.image, target.clamp(0, 1), rtol=0, atol=tolerance)
    assert all(trial.min() >= 0 and trial.max() <= 1 for trial in trials)


def test_lbfgs_keeps_the_best_image_and_never_moves_to_a_worse_one() -> None:
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
def test_lbfgs_comes_back_from_where_there_is_no_loss(wall: float) -> None:
    def walled(image: Tensor) -> Tensor:
        # A first step is longer than the way to the wall.
        loss = ((image - 0.999) ** 2).sum()
        return loss if image.max() < 1 else loss * wall

    minimizer = Lbfgs(torch.full((1, 1, 1, 3), 0.99, dtype=torch.float64), 5, bounded=False)
    told = minimize(minimizer, walled, 40)
    assert not all(map(math.isfinite, told))
    torch.testing.assert_close(
        minimizer.image, torch.full_like(minimizer.image, 0.999), rtol=0, atol=1e-5
    )


def test_lbfgs_goes_on_with_another_loss() -> None:
    loss, minimum = quadratic()
    minimizer = Lbfgs(torch.zeros_like(minimum), memory=20, bounded=False)
    minimize(minimizer, loss, 100)
    minimizer.restart()
    fresh = Lbfgs(minimizer.image, memory=20, bounded=False)
    # Of the same curvature, so that what is remembered leads there sooner.
    told = minimize(minimizer, lambda image: loss(image - 0.25), 15)
    assert told[-1] < 0.1 * minimize(fresh, lambda image: loss(image - 0.25), 15)[-1]
    minimize(minimizer, lambda image: loss(image - 0.25), 80)
    torch.testing.assert_close(minimizer.image, minimum + 0.25, rtol=0, atol=1e-4)


def test_lbfgs_begins_carefully_with_a_steeper_loss() -> None:
    curvature = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    minimizer = Lbfgs(torch.ones_like(curvature), memory=20, bounded=False)
    minimize(minimizer, lambda image: (curvature * image**2).sum(), 10)
    minimizer.restart()
    before, after = minimize(minimizer, lambda image: (3 * curvature * (image - 1) ** 2).sum(), 2)
    assert after < before


def test_lbfgs_that_rounds_what_it_remembers_finds_the_minimum() -> None:
    loss, minimum = quadratic()
    minimizer = Lbfgs(torch.zeros_like(minimum), 20, bounded=False, precision=torch.bfloat16)
    minimize(minimizer, loss, 200)
    torch.testing.assert_close(minimizer.image, minimum, rtol=0, atol=1e-4)


def test_a_preconditioner_that_learns_curvature_spares_evaluations() -> None:
    # Eight stripes, each steeper than the one before: more than three remembered steps can tell.
    curvature = torch.logspace(0, 3, 8, dtype=torch.float64).repeat_interleave(16)
    image = torch.zeros(1, 3, 32, 128, dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    minimum = torch.randn(image.shape, generator=generator, dtype=torch.float64)

    def loss(values: Tensor) -> Tensor:
        return (curvature * (values - minimum) ** 2).sum()

    def after(preconditioner: Preconditioner | None) -> float:
        return minimize(Lbfgs(image, 3, False, preconditioner), loss, 40)[-1]

    assert after(Preconditioner(image, 0.0)) < 0.1 * after(None)


def test_adam_takes_the_steps_of_torch() -> None:
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
