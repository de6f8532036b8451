"""The embedded loss network: losses on it are those on what it predicts."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from stylebeam.transforms.losses.distilled_vgg import (
    LAYERS,
    SHIPPED_WEIGHTS,
    WIDTHS,
    EmbeddedNetwork,
    channels_of,
    linear,
    load_embedded_network,
    readout_of,
    save_embedded_network,
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


def test_of_its_layers_it_returns_those_that_are_wanted() -> None:
    network, images = EmbeddedNetwork(), torch.rand(1, 3, 32, 32)
    wanted = network(images, ["relu2_1", "relu1_1"])
    assert wanted.keys() == {"relu1_1", "relu2_1"}
    assert torch.equal(wanted["relu2_1"], network(images)["relu2_1"])


def features() -> tuple[Tensor, Tensor]:
    small, other = torch.randn(2, 2, SMALL_CHANNELS, 6, 5, dtype=torch.float64)
    return small.requires_grad_(), other


def assert_same_with_gradients(small: Tensor, embedded: Tensor, explicit: Tensor) -> None:
    [gradient] = torch.autograd.grad(embedded, small)
    [explicit_gradient] = torch.autograd.grad(explicit, small)
    torch.testing.assert_close(embedded, explicit, rtol=1e-9, atol=0)
    torch.testing.assert_close(gradient, explicit_gradient, rtol=1e-9, atol=1e-12)


def test_the_content_loss_is_that_of_the_predicted_activations(linear_map: Tensor) -> None:
    small, other = features()
    readout = readout_of(linear_map)
    embedded = feature_reconstruction_loss(small, other, readout)
    explicit = feature_reconstruction_loss(linear(small, linear_map), linear(other, linear_map))
    assert_same_with_gradients(small, embedded, explicit)


def test_the_style_loss_is_that_of_the_predicted_activations(linear_map: Tensor) -> None:
    small, other = features()
    readout = readout_of(linear_map)
    embedded = style_reconstruction_loss(gram_matrix(small, readout), gram_matrix(other, readout))
    explicit = style_reconstruction_loss(
        gram_matrix(linear(small, linear_map)), gram_matrix(linear(other, linear_map))
    )
    assert_same_with_gradients(small, embedded, explicit)


def test_the_losses_are_those_of_the_small_matrices(linear_map: Tensor) -> None:
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


def test_a_saved_network_computes_the_same_when_it_is_loaded(tmp_path: Path) -> None:
    network = EmbeddedNetwork()
    for parameter in network.parameters():
        parameter.data = parameter.data.half().float()
    save_embedded_network(network, {"why": "a test"}, tmp_path / "embedded.safetensors")
    loaded = load_embedded_network(["relu2_1", "relu5_1"], tmp_path / "embedded.safetensors")
    images = torch.rand(1, 3, 48, 33)
    expected = network(images)
    for layer, values in loaded(images).items():
        assert torch.equal(values, expected[layer])
    assert loaded.layers == {"relu2_1", "relu5_1"}


def test_it_ends_at_the_deepest_layer_asked_for() -> None:
    assert list(EmbeddedNetwork(["relu2_1"]).convolutions) == [
        "conv1_1", "conv1_2", "conv2_1",
    ]  # fmt: skip


def test_an_unknown_layer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="embedded has no layer relu9_1; it has relu1_1, relu2_1"):
        EmbeddedNetwork(["relu9_1"])


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"something else")
    with pytest.raises(WeightsUnavailableError, match="cannot be read from"):
        load_embedded_network(["relu1_1"], tmp_path / "other.safetensors")
    with pytest.raises(WeightsUnavailableError, match="cannot be read from"):
        load_embedded_network(["relu1_1"], tmp_path / "nowhere.safetensors")


def test_the_shipped_weights_have_all_layers_in_at_most_4_mb() -> None:
    network = load_embedded_network(LAYERS)
    assert SHIPPED_WEIGHTS.stat().st_size <= 4e6
    activations = network(torch.rand(1, 3, 64, 64))
    assert all(values.isfinite().all() and values.std() > 0 for values in activations.values())


def test_the_deep_layers_have_the_channels_of_vgg_19() -> None:
    """There, features are compared as they are; a layer with fewer has a readout."""
    of_vgg = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}
    network = EmbeddedNetwork()
    for layer, channels in of_vgg.items():
        readout = network.readout(layer)
        if readout is None:
            assert WIDTHS[layer.replace("relu", "conv")].channels == channels
        else:
            assert readout.shape == (channels_of(layer), channels_of(layer))
            assert channels_of(layer) < channels
