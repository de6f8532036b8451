"""Tests of calibration: losses equal the teacher's, and layers are scaled independently."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from stylebeam.transforms.distillation import calibration
from stylebeam.transforms.distillation.calibration import calibrate, scale
from stylebeam.transforms.losses.distilled_vgg import LAYERS, DistilledVgg
from stylebeam.transforms.losses.functional import gram_matrix
from stylebeam.transforms.training.data import TrainingImages


def network_of(seed: int) -> DistilledVgg:
    torch.manual_seed(seed)
    network = DistilledVgg().requires_grad_(False)
    for name, parameter in network.convolutions.named_parameters():
        if name.endswith("weight"):
            torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    return network


def distance_squared(network: DistilledVgg, layer: str, images: torch.Tensor) -> float:
    grams = gram_matrix(network(images)[layer], network.readout(layer))
    return (grams[0] - grams[1]).square().sum().item()


@pytest.mark.parametrize("layer", LAYERS)
def test_scaling_a_layer_does_not_change_the_others(layer: str) -> None:
    network, images = network_of(0), torch.rand(2, 3, 64, 64)
    before = {layer: distance_squared(network, layer, images) for layer in LAYERS}
    scale(network, layer, 1.5)
    for other in LAYERS:
        factor = 1.5**4 if other == layer else 1.0
        after = distance_squared(network, other, images)
        assert after == pytest.approx(before[other] * factor, rel=1e-3), other


def test_calibration_undoes_known_scales(
    tmp_path: Path,
    gradient: Callable[[int, int], Image.Image],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The network is a copy of its teacher whose layers are scaled by known factors."""
    files = []
    for number in range(4):
        files.append(tmp_path / f"{number}.png")
        gradient(80, 64).rotate(90 * number).save(files[-1])
    monkeypatch.setattr(calibration, "PAIRS", 5)
    teacher, network = network_of(0), network_of(0)
    scales = {layer: 0.5 + 0.1 * number for number, layer in enumerate(LAYERS)}
    for layer, factor in scales.items():
        scale(network, layer, factor)

    def teach(images: torch.Tensor) -> dict[str, torch.Tensor]:
        return calibration.interior_activations(teacher, images)

    gains = calibrate(
        network,
        teach,
        TrainingImages(files[:2]),
        TrainingImages(files[2:]),
        64,
        torch.device("cpu"),
    )
    for layer, factor in scales.items():
        assert gains[layer] == pytest.approx(1 / factor, rel=1e-3), layer
    images = torch.rand(2, 3, 64, 64)
    for layer in LAYERS:
        expected = distance_squared(teacher, layer, images)
        assert distance_squared(network, layer, images) == pytest.approx(expected, rel=1e-2)
