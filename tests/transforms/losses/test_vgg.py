"""VGG: layers, input and memory."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor
from torchvision.transforms import functional

from stylebeam.transforms.losses.vgg import Pooling, Vgg, VggName, load_vgg, normalize

POOLINGS: dict[Pooling, Callable[[Tensor, int], Tensor]] = {
    "max": F.max_pool2d,
    "average": F.avg_pool2d,
}


def random_network(name: VggName, layers: Iterable[str], pooling: Pooling = "max") -> Vgg:
    network = Vgg(name, layers, pooling)
    network.features.to_empty(device="cpu")
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return network


def computed_directly(network: Vgg, images: Tensor, pooling: Pooling) -> dict[str, Tensor]:
    """Return all activations of the first two blocks and the first layer of the third."""
    parameters = dict(network.features.named_parameters())
    values, activations = normalize(images), {}
    for index, layer in {0: "1_1", 2: "1_2", 5: "2_1", 7: "2_2", 10: "3_1"}.items():
        weight, bias = parameters[f"{index}.weight"], parameters[f"{index}.bias"]
        activations[f"conv{layer}"] = F.conv2d(values, weight, bias, padding=1)
        activations[f"relu{layer}"] = values = F.relu(activations[f"conv{layer}"])
        if layer.endswith("_2"):
            values = activations[f"pool{layer[0]}"] = POOLINGS[pooling](values, 2)
    return activations


def test_layers_have_the_shapes_in_the_literature() -> None:
    network = random_network("vgg19", ["conv1_1", "relu2_2", "conv4_2", "pool4"])
    shapes = {name: tuple(x.shape[1:]) for name, x in network(torch.rand(1, 3, 64, 32)).items()}
    assert shapes == {
        "conv1_1": (64, 64, 32),
        "relu2_2": (128, 32, 16),
        "conv4_2": (512, 8, 4),
        "pool4": (512, 4, 2),
    }


def test_the_network_ends_at_the_deepest_layer() -> None:
    network = Vgg("vgg16", ["relu3_3", "relu1_2"])
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 2 + 2 + 3


def test_only_the_requested_layers_are_returned() -> None:
    network = random_network("vgg16", ["relu1_1", "relu1_2", "relu2_2"])
    images = torch.rand(1, 3, 16, 16)
    chosen = network(images, ["relu1_2"])
    assert list(chosen) == ["relu1_2"]
    assert torch.equal(chosen["relu1_2"], network(images)["relu1_2"])


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(
    "layers",
    [
        [
            f"{kind}{layer}"
            for layer in ("1_1", "1_2", "2_1", "2_2", "3_1")
            for kind in ("conv", "relu")
        ],
        ["relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1"],
        ["conv1_2", "pool1", "conv2_2", "pool2", "conv3_1"],
    ],
    ids=["all", "relu", "conv and pool"],
)
def test_activations_and_gradients_equal_direct_ones(pooling: Pooling, layers: list[str]) -> None:
    network = random_network("vgg19", layers, pooling)
    images = torch.rand(2, 3, 13, 18, requires_grad=True)
    expected = computed_directly(network, images, pooling)
    activations = network(images)
    assert list(activations) == layers
    for layer in layers:
        torch.testing.assert_close(activations[layer], expected[layer])
    along = {layer: torch.randn_like(expected[layer]) for layer in layers}
    [gradient] = torch.autograd.grad(sum((activations[x] * along[x]).sum() for x in layers), images)
    [directly] = torch.autograd.grad(sum((expected[x] * along[x]).sum() for x in layers), images)
    torch.testing.assert_close(gradient, directly, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("layers", "separate"), [(["relu1_1"], False), (["conv1_1", "relu1_1"], True)]
)
def test_relu_takes_memory_only_if_its_convolution_is_returned(
    layers: list[str], separate: bool
) -> None:
    network = random_network("vgg16", layers)
    addresses = []
    for module in network.features:
        module.register_forward_hook(lambda _, __, values: addresses.append(values.data_ptr()))
    activations = network(torch.rand(1, 3, 8, 8))
    convolution, relu = addresses
    assert (relu != convolution) == separate
    assert activations["relu1_1"].data_ptr() == relu


def test_an_unknown_layer_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no layer relu3_4; it has conv1_1, relu1_1, conv1_2"):
        Vgg("vgg16", ["relu3_4", "relu3_3"])


def test_activations_equal_torchvisions(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(shared / "torch"))
    network = load_vgg("vgg16", ["relu3_3"])
    images = torch.rand(1, 3, 32, 40)
    with torch.device("meta"):
        reference = torchvision.models.vgg16().features[:16]
    reference.load_state_dict(network.features.state_dict(), assign=True)
    normalized = functional.normalize(images, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    torch.testing.assert_close(network(images)["relu3_3"], reference(normalized))
