"""Normalization of VGG: each layer has the scale 1, and nothing else changes."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional

from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.losses.vgg import Pooling, Vgg, load_vgg
from stylebeam.transforms.losses.vgg_normalization import (
    normalize_activations,
    reference_photos,
)

ROOT = Path(__file__).parents[3]
LAYERS = ["relu1_1", "relu1_2", "pool1", "relu2_1", "relu2_2", "conv3_1"]


def random_network(pooling: Pooling = "max", layers: list[str] = LAYERS) -> Vgg:
    network = Vgg("vgg16", layers, pooling)
    network.features.to_empty(device="cpu")
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.07)
    return network.requires_grad_(False)


def convolutions(network: Vgg) -> list[nn.Conv2d]:
    return [module for module in network.features if isinstance(module, nn.Conv2d)]


def rms(activations: Tensor) -> Tensor:
    return activations.relu().square().mean().sqrt()


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_a_layer_is_divided_by_its_root_mean_square(pooling: Pooling) -> None:
    network = random_network(pooling)
    photos, others = torch.rand(2, 3, 24, 30), torch.rand(1, 3, 20, 20)
    scales = {layer: rms(values) for layer, values in network(photos).items()}
    scales["pool1"] = scales["relu1_2"]
    before = network(others)
    normalize_activations(network, photos)
    after = network(others)
    for layer in LAYERS:
        torch.testing.assert_close(after[layer], before[layer] / scales[layer])
    for layer, values in network(photos).items():
        if layer != "pool1":
            torch.testing.assert_close(rms(values), torch.tensor(1.0))


def test_networks_with_other_scales_become_the_same() -> None:
    network, rescaled = random_network(), random_network()
    factors = [1.0, 300.0, 0.02, 7.0, 1e-3, 50.0]
    for (before, factor), convolution in zip(
        pairwise(factors), convolutions(rescaled), strict=True
    ):
        convolution.weight *= factor / before
        convolution.bias *= factor
    photos, others = torch.rand(2, 3, 24, 30), torch.rand(1, 3, 20, 20)
    assert rms(rescaled(others)["conv3_1"]) > 40 * rms(network(others)["conv3_1"])
    for each in (network, rescaled):
        normalize_activations(each, photos)
    expected = network(others)
    for layer, values in rescaled(others).items():
        torch.testing.assert_close(values, expected[layer])


def test_a_layer_of_zeros_is_not_scaled() -> None:
    network = random_network(layers=["relu1_1", "conv1_2", "relu2_1"])
    dead = convolutions(network)[1]
    dead.bias.fill_(-1000)
    photos = torch.rand(1, 3, 16, 16)
    before = network(photos)
    normalize_activations(network, photos)
    after = network(photos)
    torch.testing.assert_close(after["conv1_2"], before["conv1_2"])
    torch.testing.assert_close(rms(after["relu2_1"]), torch.tensor(1.0))


def test_the_reference_photos_are_the_samples(tmp_path: Path) -> None:
    script = ROOT / "samples" / "draw_reference_photographs.py"
    subprocess.run([sys.executable, script, tmp_path / "drawn.jpg"], check=True)
    drawn = decode((tmp_path / "drawn.jpg").read_bytes()).pixels[None] / 255
    photos = reference_photos()
    assert photos.shape == (1, 3, 512, 768)
    assert photos.min() >= 0
    assert photos.max() <= 1
    assert (photos - drawn).abs().mean() < 1 / 255  # Decoders differ a little.


@pytest.mark.slow
def test_the_scale_is_similar_on_other_photos(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(shared / "torch"))
    network = load_vgg("vgg19", ["relu1_1", "relu2_1", "relu3_1", "relu4_1"])
    normalize_activations(network, reference_photos())
    photos = torch.cat(
        [
            functional.center_crop(decode(path.read_bytes()).pixels, [192, 192])[None] / 255
            for path in sorted((shared / "photos" / "train").iterdir())[::130]
        ]
    )
    for values in network(photos).values():
        assert 0.7 < rms(values) < 1.4
