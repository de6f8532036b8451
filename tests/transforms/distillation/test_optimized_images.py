"""Images on their way: they move towards the painting, and depend on their beginning alone."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image

from stylebeam.transforms.distillation.optimized_images import OptimisedImages
from stylebeam.transforms.losses.distilled_vgg import EmbeddedNetwork
from stylebeam.transforms.losses.loss_network import interior_activations


@pytest.fixture
def make(
    tmp_path: Path, gradient: Callable[[int, int], Image.Image]
) -> Callable[[int], OptimisedImages]:
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.png")
        gradient(80, 64).rotate(90 * number).save(files[-1])
    torch.manual_seed(0)
    network = EmbeddedNetwork().requires_grad_(False)

    def make(seed: int) -> OptimisedImages:
        images = OptimisedImages(network, files[:2], files[2:], 32, count=2, steps=4, seed=seed)
        images.network = network
        return images

    return make


def walk(images: OptimisedImages, first: int, last: int) -> list[torch.Tensor]:
    """Return the images at the steps from first to last."""
    seen = []
    for step in range(first, last + 1):
        image = images.at(step, torch.device("cpu"))
        images.advance(image, interior_activations(images.network, image))
        seen.append(image.detach())
    return seen


def test_each_step_changes_the_images_and_each_way_begins_anew(make) -> None:
    seen = walk(make(1), 0, 4)
    assert seen[0].shape == (2, 3, 32, 32)
    changes = [(b - a).abs().mean().item() for a, b in pairwise(seen)]
    assert all(change > 0 for change in changes)
    # Three steps of Adam are small; the fourth image is another photograph.
    assert max(changes[:3]) < changes[3]
    assert all(image.min() >= 0 and image.max() <= 1 for image in seen)


def test_a_step_lowers_the_loss(make) -> None:
    images = make(1)
    image = images.at(0, torch.device("cpu"))
    losses = []
    for step in range(1, 5):
        activations = interior_activations(images.network, image)
        losses.append(images._loss.terms(image, activations, images._targets).total.item())
        images.advance(image, activations)
        if step < 4:
            image = images.at(step, torch.device("cpu"))
    assert losses[-1] < losses[0]


def test_a_way_depends_on_the_seed_and_its_beginning_alone(make) -> None:
    whole = walk(make(1), 0, 6)
    late = walk(make(1), 4, 6)
    for image, again in zip(whole[4:], late, strict=True):
        assert torch.equal(image, again)
    assert not torch.equal(walk(make(2), 4, 4)[0], late[0])
