"""The distilled VGG: its losses equal those of the activations that it predicts."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from stylebeam.transforms.losses.distilled_vgg import (
    LAYERS,
    SHIPPED_WEIGHTS,
    WIDTHS,
    DistilledVgg,
    channels_of,
    linear,
    load_distilled_vgg,
    readout_of,
    save_distilled_vgg,
)
from stylebeam.transforms.losses.functional import (
    feature_reconstruction_loss,
    gram_matrix,
    style_reconstruction_loss,
)
from stylebeam.transforms.losses.vgg import WeightsUnavailableError

CHANNELS, SMALL_CHANNELS = 40, 7


@pytest.fixture
def linear_map() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(CHANNELS, SMALL_CHANNELS, dtype=torch.float64)


def test_only_the_requested_layers_are_returned() -> None:
    network, images = DistilledVgg(), torch.rand(1, 3, 32, 32)
    chosen = network(images, ["relu2_1", "relu1_1"])
    assert chosen.keys() == {"relu1_1", "relu2_1"}
    assert torch.equal(chosen["relu2_1"], network(images)["relu2_1"])


def features() -> tuple[Tensor, Tensor]:
    small, other = torch.randn(2, 2, SMALL_CHANNELS, 6, 5, dtype=torch.float64)
    return small.requires_grad_(), other


def assert_same_with_gradients(small: Tensor, loss: Tensor, explicit: Tensor) -> None:
    [gradient] = torch.autograd.grad(loss, small)
    [explicit_gradient] = torch.autograd.grad(explicit, small)
    torch.testing.assert_close(loss, explicit, rtol=1e-9, atol=0)
    torch.testing.assert_close(gradient, explicit_gradient, rtol=1e-9, atol=1e-12)


def test_the_content_loss_equals_that_of_the_predicted_activations(linear_map: Tensor) -> None:
    small, other = features()
    readout = readout_of(linear_map)
    loss = feature_reconstruction_loss(small, other, readout)
    explicit = feature_reconstruction_loss(linear(small, linear_map), linear(other, linear_map))
    assert_same_with_gradients(small, loss, explicit)


def test_the_style_loss_equals_that_of_the_predicted_activations(linear_map: Tensor) -> None:
    small, other = features()
    readout = readout_of(linear_map)
    loss = style_reconstruction_loss(gram_matrix(small, readout), gram_matrix(other, readout))
    explicit = style_reconstruction_loss(
        gram_matrix(linear(small, linear_map)), gram_matrix(linear(other, linear_map))
    )
    assert_same_with_gradients(small, loss, explicit)


def test_the_losses_equal_those_of_the_small_matrices(linear_map: Tensor) -> None:
    """||A D A^T||^2 = tr(M D M D) and ||A d||^2 = sum of d^T M d, with M = A^T A."""
    small, other = features()
    metric = linear_map.T @ linear_map
    readout = readout_of(linear_map)
    torch.testing.assert_close(
        readout.T @ readout * CHANNELS / SMALL_CHANNELS, metric, rtol=1e-9, atol=1e-9
    )
    difference = (gram_matrix(small) - gram_matrix(other)) * SMALL_CHANNELS / CHANNELS
    traces = torch.einsum("ij,bjk,kl,bli->b", metric, difference, metric, difference)
    style = style_reconstruction_loss(gram_matrix(small, readout), gram_matrix(other, readout))
    assert_same_with_gradients(small, style, traces.mean())
    apart = (small - other).flatten(2)
    distance = torch.einsum("bip,ij,bjp->", apart, metric, apart) / (2 * CHANNELS * 6 * 5)
    content = feature_reconstruction_loss(small, other, readout)
    assert_same_with_gradients(small, content, distance)


def test_a_network_can_be_saved_and_loaded(tmp_path: Path) -> None:
    network = DistilledVgg()
    for parameter in network.parameters():
        parameter.data = parameter.data.half().float()
    save_distilled_vgg(network, {"why": "a test"}, tmp_path / "embedded.safetensors")
    loaded = load_distilled_vgg(["relu2_1", "relu5_1"], tmp_path / "embedded.safetensors")
    images = torch.rand(1, 3, 48, 33)
    expected = network(images)
    for layer, values in loaded(images).items():
        assert torch.equal(values, expected[layer])
    assert loaded.layers == {"relu2_1", "relu5_1"}


def test_the_network_ends_at_the_deepest_layer() -> None:
    assert list(DistilledVgg(["relu2_1"]).convolutions) == [
        "conv1_1", "conv1_2", "conv2_1",
    ]  # fmt: skip


def test_an_unknown_layer_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="embedded has no layer relu9_1; it has relu1_1, relu2_1"):
        DistilledVgg(["relu9_1"])


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"something else")
    with pytest.raises(WeightsUnavailableError, match="cannot be read from"):
        load_distilled_vgg(["relu1_1"], tmp_path / "other.safetensors")
    with pytest.raises(WeightsUnavailableError, match="cannot be read from"):
        load_distilled_vgg(["relu1_1"], tmp_path / "nowhere.safetensors")


def test_the_shipped_weights_have_all_layers_in_4_mb() -> None:
    network = load_distilled_vgg(LAYERS)
    assert SHIPPED_WEIGHTS.stat().st_size <= 4e6
    activations = network(torch.rand(1, 3, 64, 64))
    assert all(values.isfinite().all() and values.std() > 0 for values in activations.values())


def test_layers_have_vggs_channels_or_a_readout() -> None:
    of_vgg = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}
    network = DistilledVgg()
    for layer, channels in of_vgg.items():
        readout = network.readout(layer)
        if readout is None:
            assert WIDTHS[layer.replace("relu", "conv")].channels == channels
        else:
            assert readout.shape == (channels_of(layer), channels_of(layer))
            assert channels_of(layer) < channels
