"""Losses against closed-form values, slow direct formulas and finite differences."""

import math

import pytest
import torch

from stylebeam.transforms.losses.functional import (
    feature_reconstruction_loss,
    gram_matrix,
    grid_loss,
    style_reconstruction_loss,
    total_variation_loss,
)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gram_matrix_of_constant_channels() -> None:
    features = torch.tensor([2.0, 3.0]).view(1, 2, 1, 1).expand(1, 2, 4, 5)
    # Each entry is F_i * F_j summed over H W = 20 positions, divided by C H W = 40.
    assert torch.equal(gram_matrix(features), torch.tensor([[[2.0, 3.0], [3.0, 4.5]]]))


def test_gram_matrix_is_the_double_sum() -> None:
    features = random(2, 3, 4, 5)
    expected = torch.zeros(2, 3, 3, dtype=torch.float64)
    for b in range(2):
        for i in range(3):
            for j in range(3):
                for h in range(4):
                    for w in range(5):
                        expected[b, i, j] += features[b, i, h, w] * features[b, j, h, w]
    torch.testing.assert_close(gram_matrix(features), expected / (3 * 4 * 5), rtol=1e-12, atol=0)


def test_gram_matrix_of_half_precision_is_float32() -> None:
    features = torch.full((1, 1, 300, 300), 1.001, dtype=torch.bfloat16)
    gram = gram_matrix(features)
    assert gram.dtype == torch.float32
    assert gram.item() == pytest.approx(1.0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(2, 3, 42, 252), (1, 16, 402, 402)])
def test_the_gram_matrix_and_its_gradient_equal_a_direct_computation(
    shape: tuple[int, ...], layout: torch.memory_format
) -> None:
    """For a slice of a larger tensor; the second is too large to be converted at once."""
    features = random(*shape).contiguous(memory_format=layout).requires_grad_()
    inside = features[:, :, 1:-1, 1:-1]
    along = random(shape[0], shape[1], shape[1], seed=1)  # Not symmetric.
    flat = inside.flatten(2)
    direct = torch.einsum("bin,bjn->bij", flat, flat) / inside[0].numel()
    gram = gram_matrix(inside)
    torch.testing.assert_close(gram, direct, rtol=1e-9, atol=0)
    [expected] = torch.autograd.grad((direct * along).sum(), features)
    [gradient] = torch.autograd.grad((gram * along).sum(), features)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_small_gradients_of_half_precision_are_kept(dtype: torch.dtype) -> None:
    """With 64 channels and many positions, D / (C H W) is too small for float16."""
    features = random(1, 64, 64, 64).to(dtype).requires_grad_()
    [gradient] = torch.autograd.grad(gram_matrix(features).sum() * 1e-3, features)
    total = features.detach().double().sum(1, keepdim=True)
    expected = (2e-3 * total / (64 * 64 * 64)).expand_as(features)
    torch.testing.assert_close(gradient.double(), expected, rtol=0.02, atol=1e-7)


def test_feature_reconstruction_loss_is_the_mean_square() -> None:
    target = random(2, 3, 4, 5)
    assert feature_reconstruction_loss(target, target) == 0
    assert feature_reconstruction_loss(target + 3, target).item() == pytest.approx(9)
    other = random(2, 3, 4, 5, seed=1)
    direct = sum((a - b) ** 2 for a, b in zip(other.flatten(), target.flatten(), strict=True))
    loss = feature_reconstruction_loss(other, target).item()
    assert loss == pytest.approx(direct.item() / (2 * 3 * 4 * 5))


def test_features_equal_to_their_target_have_a_gradient_of_zero() -> None:
    features = random(1, 3, 4, 5).requires_grad_()
    [gradient] = torch.autograd.grad(
        feature_reconstruction_loss(features, features.detach()), features
    )
    assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("readout", [None, torch.eye(8)])
def test_feature_reconstruction_loss_of_half_precision_is_summed_in_float32(readout) -> None:
    """A sum in bfloat16 would stop growing at a few hundred."""
    features = torch.full((1, 8, 100, 100), 1.0, dtype=torch.bfloat16)
    loss = feature_reconstruction_loss(features, torch.zeros_like(features), readout)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(1.0, rel=1e-5)


def test_style_reconstruction_loss_is_the_squared_frobenius_norm() -> None:
    target = torch.zeros(1, 2, 2)
    grams = torch.tensor([[[1.0, 2.0], [2.0, 3.0]], [[0.0, 0.0], [0.0, 2.0]]])
    # 1 + 4 + 4 + 9 = 18 for the first image and 4 for the second: 11 on average.
    assert style_reconstruction_loss(grams, target).item() == pytest.approx(11)


def test_style_does_not_depend_on_positions() -> None:
    features = random(1, 3, 4, 5)
    shuffled = features.flatten(2)[..., torch.randperm(20)].view_as(features)
    loss = style_reconstruction_loss(gram_matrix(features), gram_matrix(shuffled))
    assert loss.item() == pytest.approx(0, abs=1e-24)


def test_total_variation_of_a_step_and_of_a_ramp() -> None:
    step = torch.zeros(1, 1, 2, 4)
    step[..., 2:] = 1
    # Two rows with one step of 1 each, over 8 pixels.
    assert total_variation_loss(step).item() == pytest.approx(2 / 8)
    ramp = torch.arange(5.0).view(1, 1, 5, 1) / 10
    assert total_variation_loss(ramp).item() == pytest.approx(4 * 0.01 / 5)
    assert total_variation_loss(torch.full((2, 3, 4, 4), 0.7)) == 0


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: feature_reconstruction_loss(x, random(1, 2, 3, 4, seed=1)),
        lambda x: style_reconstruction_loss(
            gram_matrix(x), gram_matrix(random(1, 2, 5, 5, seed=1))
        ),
        total_variation_loss,
    ],
    ids=["feature", "style", "total variation"],
)
def test_gradients_equal_finite_differences(loss) -> None:
    assert torch.autograd.gradcheck(loss, random(1, 2, 3, 4).requires_grad_())


def test_grid_loss_is_the_windowed_power_at_the_frequencies_of_a_grid() -> None:
    images = random(2, 3, 32, 32)
    window = torch.hann_window(32, dtype=torch.float64)
    window = window / window.sum()
    spectrum = torch.fft.fft2(images * window[:, None] * window)
    power = spectrum[..., ::8, ::8].abs().square().flatten(2)[..., 1:].sum(2)
    torch.testing.assert_close(grid_loss(images), power.mean())


@pytest.mark.parametrize(("period", "share"), [(4.0, 1.0), (2.0, 2.0), (8.0, 0.0), (5.0, 0.0)])
def test_grid_loss_of_a_cosine(period: float, share: float) -> None:
    waves = 0.1 * torch.cos(2 * math.pi / period * torch.arange(128.0, dtype=torch.float64))
    across = (0.5 + waves).expand(1, 3, 64, 128)
    down = across.transpose(2, 3)
    for images in (across, down):
        loss = grid_loss(images).item()
        assert loss == pytest.approx(share * 0.1**2 / 2, abs=1e-4)


def test_grid_loss_sees_grids_of_opposite_signs_but_no_ramp() -> None:
    columns = torch.arange(256.0, dtype=torch.float64)
    ramp = (columns / 256).expand(1, 3, 64, 256)
    assert grid_loss(ramp) < 1e-6
    sign = torch.where(columns < 128, 1.0, -1.0)
    grid = 0.1 * sign * torch.cos(2 * math.pi / 4 * columns)
    assert grid_loss(ramp + grid) > 0.9 * 0.1**2 / 2
