"""Loss networks with reflected borders: features, gradients, and memory."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stylebeam.transforms.losses.borders import MirroredBorders, ReflectedMargin
from stylebeam.transforms.losses.distilled_vgg import DistilledVgg, load_distilled_vgg
from stylebeam.transforms.losses.loss_network import interior_activations
from stylebeam.transforms.losses.vgg import Vgg, load_vgg

Load = Callable[[], DistilledVgg | Vgg]


@pytest.fixture(params=["embedded", "vgg19"])
def load(request: pytest.FixtureRequest, vgg19: Path) -> Load:
    """Returns a new frozen network with one layer at each call."""
    if request.param == "embedded":
        return lambda: load_distilled_vgg(["relu2_1"])
    return lambda: load_vgg("vgg19", ["relu2_1"], vgg19)


def test_all_features_of_a_constant_image_are_constant(load: Load) -> None:
    network = load()
    mirrored = MirroredBorders(network)
    flat = torch.full((1, 3, 40, 48), 0.7)
    for activations in (network(flat), mirrored(flat), mirrored(flat, mirrored.layers)):
        [values] = activations.values()
        assert values.shape[2:] == (20, 24)
        torch.testing.assert_close(values, values[..., :1, :1].expand_as(values))


def test_a_reflected_margin_returns_interior_activations(load: Load) -> None:
    network, images = load(), torch.rand(2, 3, 40, 48)
    wrapped = ReflectedMargin(network)
    assert wrapped.layers == network.layers
    assert wrapped.readout("relu2_1") is network.readout("relu2_1")
    expected = interior_activations(network, images)
    for features in (wrapped(images), wrapped(images, ["relu2_1"])):
        assert torch.equal(features["relu2_1"], expected["relu2_1"])


@pytest.mark.parametrize(("height", "width"), [(32, 46), (37, 33)])
def test_mirrored_borders_equal_convolutions_with_reflection_padding(
    load: Load, height: int, width: int
) -> None:
    torch.manual_seed(0)
    expected, network = load().double(), load().double()
    for module in expected.modules():
        if isinstance(module, torch.nn.Conv2d) and any(module.padding):
            module.padding_mode = "reflect"
    mirrored = MirroredBorders(network)
    images = torch.rand(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    [its_features] = interior_activations(expected, images, 8).values()
    [features] = mirrored(images).values()
    torch.testing.assert_close(features, its_features)
    along = torch.rand_like(features)
    [gradient] = torch.autograd.grad((features * along).sum(), images)
    [its_gradient] = torch.autograd.grad((its_features * along).sum(), images)
    torch.testing.assert_close(gradient, its_gradient)


def test_no_padded_copy_is_kept_for_the_gradient(load: Load) -> None:
    kept: list[tuple[int, ...]] = []

    def keep(values: Tensor) -> Tensor:
        kept.append(tuple(values.shape[2:]))
        return values

    images = torch.rand(1, 3, 48, 64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda values: values):
        MirroredBorders(load())(images)
    # Sides with the margin at each block's resolution; and with a pixel more on each side.
    assert {(64, 80), (32, 40)} <= set(kept)
    assert not {(66, 82), (34, 42)} & set(kept)
