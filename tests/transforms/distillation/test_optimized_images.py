"""Images in the course of an optimization: they move towards the painting, and are reproducible."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from stylebeam.transforms.distillation.optimized_images import OptimizedImages
from stylebeam.transforms.losses.borders import ReflectedMargin
from stylebeam.transforms.losses.distilled_vgg import LAYERS, DistilledVgg, load_distilled_vgg
from stylebeam.transforms.losses.perceptual import LossSettings, PerceptualLoss
from stylebeam.transforms.training.data import TrainingImages

CPU = torch.device("cpu")
ORANGE = (250, 140, 20)
Make = Callable[[int], OptimizedImages]


@pytest.fixture(scope="module")
def network() -> DistilledVgg:
    return load_distilled_vgg(LAYERS)


@pytest.fixture
def make(
    tmp_path: Path, gradient: Callable[[int, int], Image.Image], network: DistilledVgg
) -> Make:
    """Returns images from two photos and an orange painting, for a seed."""
    files = [tmp_path / "0.png", tmp_path / "1.png"]
    for number, photo in enumerate(files):
        gradient(80, 64).rotate(90 * number).save(photo)
    painting = tmp_path / "painting.png"
    Image.new("RGB", (80, 64), ORANGE).save(painting)

    photos, paintings = TrainingImages(files), TrainingImages([painting])

    def make(seed: int) -> OptimizedImages:
        return OptimizedImages(network, photos, paintings, 32, count=2, steps=4, seed=seed)

    return make


def run(images: OptimizedImages, network: DistilledVgg, first: int, last: int) -> list[Tensor]:
    """Return the images at the steps from first to last."""
    seen = []
    for step in range(first, last + 1):
        image = images.at(step, CPU)
        images.advance(image, ReflectedMargin(network)(image))
        seen.append(image.detach())
    return seen


def test_each_step_changes_the_images_and_new_ones_start(make: Make, network: DistilledVgg) -> None:
    seen = run(make(1), network, 0, 4)
    assert seen[0].shape == (2, 3, 32, 32)
    changes = [(b - a).abs().mean().item() for a, b in pairwise(seen)]
    assert all(change > 0 for change in changes)
    # Three steps of Adam are small; the fourth image is another crop.
    assert max(changes[:3]) < changes[3]
    assert all(image.min() >= 0 and image.max() <= 1 for image in seen)


def test_the_style_loss_falls(make: Make, network: DistilledVgg) -> None:
    style = {layer: 1.0 for layer in LAYERS if layer != "relu4_2"}
    loss = PerceptualLoss(ReflectedMargin(network), LossSettings({"relu4_2": 1.0}, style))
    orange = torch.tensor(ORANGE)[None, :, None, None].expand(1, 3, 32, 32) / 255
    target = loss.style_targets([orange])
    losses = [
        loss(image, loss.content_targets(image), target).style.item()
        for image in run(make(1), network, 0, 3)
    ]
    assert losses[-1] < losses[0]


def test_images_depend_on_the_seed_and_the_start_alone(make: Make, network: DistilledVgg) -> None:
    whole = run(make(1), network, 0, 6)
    late = run(make(1), network, 4, 6)
    for image, again in zip(whole[4:], late, strict=True):
        assert torch.equal(image, again)
    assert not torch.equal(run(make(2), network, 4, 4)[0], late[0])
