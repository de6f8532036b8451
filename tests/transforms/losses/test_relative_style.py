"""Tests of the relative style loss against known answers."""

import pytest
import torch

from stylebeam.transforms.losses.functional import gram_matrix
from stylebeam.transforms.losses.relative_style import RelativeStyleLoss
from tests.helpers.paintings import PixelNetwork, painting, plain, shipped_network

WEIGHTS = {"relu1_1": 3.0, "relu2_1": 5.0}
PIXELS = PixelNetwork()


def test_the_loss_is_0_for_the_gram_matrices_of_the_painting() -> None:
    network, image = shipped_network(), painting(1)
    loss = RelativeStyleLoss(network, WEIGHTS, [painting(2), painting(3)])
    features = network(image, WEIGHTS)
    targets = loss.grams(features)
    assert loss(features, targets).item() == 0
    assert loss(network(painting(2), WEIGHTS), targets).item() > 0.1


def test_the_loss_of_photos_is_1_on_average() -> None:
    """Exactly, if the layers are the same: then it is d / D, and D is the mean of d."""
    photos = [painting(seed) for seed in (1, 2, 3)]
    loss = RelativeStyleLoss(PIXELS, WEIGHTS, photos)
    targets = dict.fromkeys(WEIGHTS, gram_matrix(painting(4)))
    losses = [loss(PIXELS(photo, WEIGHTS), targets) for photo in photos]
    torch.testing.assert_close(torch.stack(losses).mean(), torch.tensor(1.0))


def test_known_gram_matrices() -> None:
    """The only photo is black, so D = ||A||^2; with G = g A, d = (g - 1)^2 D in a layer."""

    class Halved(PixelNetwork):
        """Features of the second layer are half of the pixels."""

        def __call__(self, images: torch.Tensor, layers=None) -> dict[str, torch.Tensor]:
            return {
                layer: images * (0.5 if layer == "relu2_1" else 1.0)
                for layer in super().__call__(images, layers)
            }

    loss = RelativeStyleLoss(Halved(), WEIGHTS, [plain(0, 0, 0)])
    target = gram_matrix(plain(0.6, 0.6, 0.6))
    size = target.square().sum().item()
    # The picture is the painting: d is 0 in the first layer, (1/4 - 1)^2 D in the second.
    result = loss(Halved()(plain(0.6, 0.6, 0.6), WEIGHTS), dict.fromkeys(WEIGHTS, target))
    second = (9 / 16) * size
    expected = (5 * second / ((3 + 5) * size) + (0 + second / size) / 2) / 2
    assert result.item() == pytest.approx(expected, rel=1e-5)
    deep = RelativeStyleLoss(Halved(), WEIGHTS, [plain(0, 0, 0)], alike=["relu2_1"])
    result = deep(Halved()(plain(0.6, 0.6, 0.6), WEIGHTS), dict.fromkeys(WEIGHTS, target))
    expected = (5 * second / ((3 + 5) * size) + second / size) / 2
    assert result.item() == pytest.approx(expected, rel=1e-5)


def test_each_picture_has_its_own_loss() -> None:
    loss = RelativeStyleLoss(PIXELS, WEIGHTS, [painting(1), painting(2)])
    pictures = torch.cat([painting(3), painting(4)])
    targets = dict.fromkeys(WEIGHTS, gram_matrix(torch.cat([painting(5), painting(6)])))
    together = loss(PIXELS(pictures, WEIGHTS), targets)
    assert together.shape == (2,)
    alone = loss(
        PIXELS(pictures[1:], WEIGHTS), {layer: grams[1:] for layer, grams in targets.items()}
    )
    torch.testing.assert_close(together[1:], alone)


def test_photos_without_variance_that_equal_the_painting_give_no_nan() -> None:
    loss = RelativeStyleLoss(PIXELS, WEIGHTS, [plain(0, 0, 0)])
    targets = dict.fromkeys(WEIGHTS, gram_matrix(plain(0, 0, 0)))
    assert loss(PIXELS(plain(0, 0, 0), WEIGHTS), targets).item() == 0
