"""Tests of the compression in closed form: known solutions, and optimality of each step."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from stylebeam.transforms.distillation import compression
from stylebeam.transforms.distillation.compression import (
    compress,
    input_projection,
    least_squares,
    reduced_rank_regression,
    representative_channels,
)
from stylebeam.transforms.losses.distilled_vgg import WIDTHS
from stylebeam.transforms.losses.vgg import Vgg


def inputs(count: int = 4000, channels: int = 12) -> Tensor:
    torch.manual_seed(0)
    mixing = 0.2 * torch.randn(channels, channels) + 2 * torch.eye(channels)
    return torch.randn(count, channels) @ mixing + 3


def error(predicted: Tensor, targets: Tensor) -> float:
    return (predicted - targets).square().mean().item()


def test_least_squares_finds_the_weights_that_made_the_targets() -> None:
    x = inputs()
    weight, bias = torch.randn(5, 12), torch.randn(5)
    found_weight, found_bias = least_squares(x, x @ weight.T + bias)
    torch.testing.assert_close(found_weight, weight, atol=0.02, rtol=0)
    torch.testing.assert_close(found_bias, bias, atol=0.1, rtol=0)


def test_low_rank_targets_are_predicted_by_factors_of_that_rank() -> None:
    x = inputs()
    targets = x @ torch.randn(3, 12).T @ torch.randn(8, 3).T + 1
    first, second, bias = reduced_rank_regression(x, targets, rank=3)
    assert first.shape == (3, 12)
    assert second.shape == (8, 3)
    assert error(x @ first.T @ second.T + bias, targets) < 1e-4 * targets.var().item()
    torch.testing.assert_close((x @ first.T).var(0), torch.ones(3), atol=0.01, rtol=0)


def test_reduced_rank_regression_is_optimal_for_its_rank() -> None:
    x = inputs()
    targets = x @ torch.randn(8, 12).T + torch.randn(4000, 8)
    first, second, bias = reduced_rank_regression(x, targets, rank=2)
    best = error(x @ first.T @ second.T + bias, targets)
    for _ in range(20):
        other_first = first + 0.05 * first.std() * torch.randn_like(first)
        # The optimal second factor and bias for this first factor.
        other_second, other_bias = least_squares(x @ other_first.T, targets)
        assert error(x @ other_first.T @ other_second.T + other_bias, targets) >= best - 1e-5


def test_reduced_rank_regression_of_full_rank_is_least_squares() -> None:
    x = inputs()
    targets = x @ torch.randn(6, 12).T + torch.randn(4000, 6)
    weight, bias = least_squares(x, targets)
    first, second, its_bias = reduced_rank_regression(x, targets, rank=6)
    torch.testing.assert_close(second @ first, weight, atol=1e-3, rtol=0)
    torch.testing.assert_close(its_bias, bias, atol=1e-2, rtol=0)


def test_the_projection_keeps_the_channels_that_the_targets_depend_on() -> None:
    """The targets depend on three mixtures of 12 channels, and hardly on a fourth."""
    torch.manual_seed(0)
    x = inputs(4000 * 9).view(4000, 9, 12)
    mixtures = torch.randn(4, 12)
    mixed = x @ mixtures.T
    targets = torch.stack(
        [mixed[:, 0, 0], mixed[:, 4, 1], mixed[:, 8, 2], 0.01 * mixed[:, 2, 3]], 1
    )
    neighborhoods = x.transpose(1, 2).flatten(1)
    for rank, enough in ((2, False), (3, True)):
        projection = input_projection(neighborhoods, targets @ torch.randn(4, 6), rank)
        assert projection.shape == (rank, 12)
        kept, _ = least_squares(projection.T.double(), mixtures[:3].T.double())
        missed = mixtures[:3].double() - kept @ projection.double()
        assert (missed.square().sum() < 1e-3 * mixtures.square().sum()) == enough


def test_channels_that_span_the_others_are_chosen() -> None:
    """Channels 4, 9 and 2, by decreasing variance, are independent; the others are mixtures."""
    torch.manual_seed(0)
    sources = torch.randn(3000, 3) * torch.tensor([10.0, 3.0, 1.0])
    activations = sources @ torch.rand(3, 12) * 0.01
    activations[:, [4, 9, 2]] = sources
    assert representative_channels(activations, 1) == [4]
    assert representative_channels(activations, 2) == [4, 9]


def test_a_repeated_channel_is_chosen_once() -> None:
    torch.manual_seed(0)
    loud, quiet = 10 * torch.randn(500), torch.randn(500)
    assert representative_channels(torch.stack([loud, loud, quiet], 1), 2) == [0, 2]


@pytest.mark.slow
def test_the_compressed_network_predicts_a_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    """The teacher has random weights; the images are not those that the network was fitted to."""
    torch.manual_seed(0)
    teacher = Vgg("vgg19", [*WIDTHS, "relu3_1"])
    teacher.features.to_empty(device="cpu")
    for parameter in teacher.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 10_000
        torch.nn.init.normal_(parameter, std=(2 / fan_in) ** 0.5)
    teacher.eval().requires_grad_(False)
    monkeypatch.setattr(compression, "SAMPLES", 4000)
    images = functional.gaussian_blur(torch.rand(10, 3, 64, 64), [5, 5], [1.0, 1.0])
    network = compress(teacher, images[:8])
    with torch.no_grad():
        predicted, target = network(images[8:])["relu3_1"], teacher(images[8:])["relu3_1"]
    scaled = target / target.square().mean().sqrt()
    variance = scaled.var((0, 2, 3), correction=0).mean()
    assert predicted.square().mean().item() == pytest.approx(1, rel=0.3)
    assert (predicted - scaled).square().mean() < 0.9 * variance
