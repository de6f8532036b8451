"""Tests of the optimizers: which parameters they update, and how large the updates are."""

import pytest
import torch
from torch import nn

from stylebeam.transforms.training.optimizers import optimizers_of

RATE = 0.01


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 3, groups=8), nn.ConvTranspose2d(16, 4, 3)
    )
    return layers.to(memory_format=torch.channels_last)


def update_of(model: nn.Module, name: str) -> dict[str, torch.Tensor]:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    images = torch.rand(2, 3, 12, 10).contiguous(memory_format=torch.channels_last)
    model(images).square().sum().backward()
    for optimizer in optimizers_of(model, name, RATE):
        optimizer.step()
    return {key: value - before[key] for key, value in model.state_dict().items()}


def test_updates_of_muon_are_nearly_orthogonal(model: nn.Module) -> None:
    update = update_of(model, "muon")
    for layer in ("0", "2"):
        matrix = update[f"{layer}.weight"].flatten(1)
        # Muon's iteration is approximate; its updates have a root mean square of 0.2.
        strengths = torch.linalg.svdvals(matrix) / (0.2 * RATE * max(matrix.shape) ** 0.5)
        assert strengths.min() > 0.25
        assert strengths.max() < 1.4


@pytest.mark.parametrize(("name", "by_adam"), [("muon", 4), ("adam", 6)])
def test_adam_updates_the_other_parameters(model: nn.Module, name: str, by_adam: int) -> None:
    update = update_of(model, name)
    # The first step of Adam is the learning rate times the sign of the gradient.
    updated = [(each.abs() / RATE - 1).abs().max() < 1e-2 for each in update.values()]
    assert sum(updated) == by_adam
    assert all(each.abs().min() > 0 for each in update.values())


def test_frozen_parameters_are_not_updated(model: nn.Module) -> None:
    model[0].requires_grad_(False)
    update = update_of(model, "muon")
    assert not update["0.weight"].any()
    assert update["1.weight"].all()
    assert update["2.weight"].all()
