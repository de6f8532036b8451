"""VGG: its layers, its input, its weights."""

from pathlib import Path

import pytest
import torch
import torchvision

from transforms.vgg import Vgg, WeightsUnavailableError, load_vgg


def random_network(name: str, layers: list[str]) -> Vgg:
    network = Vgg(name, layers)
    network.features.to_empty(device="cpu")
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return network


def test_layers_have_the_shapes_of_the_literature() -> None:
    network = random_network("vgg19", ["conv1_1", "relu2_2", "conv4_2", "pool4"])
    shapes = {name: tuple(x.shape[1:]) for name, x in network(torch.rand(1, 3, 64, 32)).items()}
    assert shapes == {
        "conv1_1": (64, 64, 32),
        "relu2_2": (128, 32, 16),
        "conv4_2": (512, 8, 4),
        "pool4": (512, 4, 2),
    }


def test_it_ends_at_the_deepest_layer_asked_for() -> None:
    network = Vgg("vgg16", ["relu3_3", "relu1_2"])
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 2 + 2 + 3


def test_of_its_layers_it_returns_those_that_are_wanted() -> None:
    network = random_network("vgg16", ["relu1_1", "relu1_2", "relu2_2"])
    images = torch.rand(1, 3, 16, 16)
    wanted = network(images, ["relu1_2"])
    assert list(wanted) == ["relu1_2"]
    assert torch.equal(wanted["relu1_2"], network(images)["relu1_2"])


def test_a_convolution_is_not_overwritten_by_its_rectifier() -> None:
    activations = random_network("vgg16", ["conv1_1", "relu1_1"])(torch.rand(1, 3, 8, 8))
    assert activations["conv1_1"].min() < 0
    assert torch.equal(activations["relu1_1"], activations["conv1_1"].relu())


def test_an_unknown_layer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no layer relu3_4; it has conv1_1, relu1_1, conv1_2"):
        Vgg("vgg16", ["relu3_4", "relu3_3"])


def test_weights_come_from_a_path_and_features_are_enough(tmp_path: Path) -> None:
    features = random_network("vgg16", ["relu2_2"]).state_dict()
    saved = {key: value for key, value in features.items() if key.startswith("features.")}
    torch.save(saved, tmp_path / "vgg16.pth")
    network = load_vgg("vgg16", ["relu1_2"], tmp_path / "vgg16.pth")
    for key, value in network.features.state_dict().items():
        assert torch.equal(value, saved[f"features.{key}"])
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsUnavailableError, match="not those of vgg16"):
        load_vgg("vgg16", ["relu1_2"], tmp_path / "other.pth")


def test_without_weights_and_network_both_ways_out_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(WeightsUnavailableError, match="internet connection, or place vgg16-397923"):
        load_vgg("vgg16", ["relu1_2"])


def test_it_computes_what_torchvision_computes(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(shared / "torch"))
    network = load_vgg("vgg16", ["relu3_3"])
    images = torch.rand(1, 3, 32, 40)
    with torch.device("meta"):
        reference = torchvision.models.vgg16().features[:16]
    reference.load_state_dict(network.features.state_dict(), assign=True)
    normalise = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    torch.testing.assert_close(network(images)["relu3_3"], reference(normalise(images)))
