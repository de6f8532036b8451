"""Loss networks: loading by name, and features at the border of an image."""

import pytest
import torch

from stylebeam.transforms.losses.distilled_vgg import DistilledVgg
from stylebeam.transforms.losses.loss_network import (
    LossNetwork,
    interior_activations,
    load_loss_network,
)
from stylebeam.transforms.losses.vgg import Vgg


def random_vgg() -> Vgg:
    network = Vgg("vgg16", ["relu2_2"])
    network.features.to_empty(device="cpu")
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return network


@pytest.mark.parametrize("make", [random_vgg, lambda: DistilledVgg(["relu2_1"])])
@pytest.mark.parametrize(("height", "width"), [(32, 40), (41, 33)])
def test_the_border_of_a_constant_image_is_like_its_inside(make, height: int, width: int) -> None:
    """Zero padding would make the border different."""
    network: LossNetwork = make()
    images = torch.full((1, 3, height, width), 0.7)
    [activations] = interior_activations(network, images).values()
    assert activations.shape[2:] == (height // 2, width // 2)
    torch.testing.assert_close(activations, activations[..., :1, :1].expand_as(activations))


def test_the_gradient_of_the_inside_keeps_the_memory_format() -> None:
    values = torch.rand(2, 4, 52, 56).contiguous(memory_format=torch.channels_last)
    values.requires_grad_()
    images = torch.zeros(2, 3, 20, 24)
    [inside] = interior_activations(lambda _: {"relu1_1": values}, images).values()
    expected = values[:, :, 16:-16, 16:-16]
    assert torch.equal(inside, expected)
    along = torch.rand(inside.shape).contiguous(memory_format=torch.channels_last)
    [gradient] = torch.autograd.grad((inside * along).sum(), values, retain_graph=True)
    [its_expected] = torch.autograd.grad((expected * along).sum(), values)
    assert torch.equal(gradient, its_expected)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_the_distilled_vgg_needs_no_download(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    network = load_loss_network("embedded", ["relu3_1"], torch.device("cpu"), torch.float32)
    assert list(network(torch.rand(1, 3, 32, 32))) == ["relu3_1"]
