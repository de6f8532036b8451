"""The perceptual loss: each term against a direct computation."""

from collections.abc import Collection

import pytest
import torch
from torch import Tensor

from stylebeam.transforms.losses.distances import Distance
from stylebeam.transforms.losses.perceptual import (
    LossSettings,
    PerceptualLoss,
    StylizationLoss,
    blend_styles,
)

ONE_LAYER = LossSettings({"once": 1.0}, {"once": 1.0})


class FakeLossNetwork:
    """Returns features that are easy to compute by hand: the image, and twice the image."""

    layers = frozenset({"once", "twice"})

    def __call__(self, images: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        return {layer: (1 + (layer == "twice")) * images for layer in layers or self.layers}

    def readout(self, layer: str) -> None:
        return None


def loss_against(settings: LossSettings, *paintings: Tensor) -> StylizationLoss:
    return StylizationLoss(PerceptualLoss(FakeLossNetwork(), settings), paintings)


def test_each_term_is_its_loss_times_its_weight() -> None:
    settings = LossSettings(
        content_layers={"once": 2.0, "twice": 0.5},
        style_layers={"once": 4.0},
        content_weight=3.0,
        style_weight=5.0,
        total_variation_weight=10.0,
    )
    photos = torch.zeros(2, 3, 20, 20)
    images = torch.full((2, 3, 20, 20), 0.5)
    images[:, :, :, 10:] = 1.5
    terms = loss_against(settings, torch.zeros(1, 3, 20, 20))(images, photos)
    mean_square = (0.25 + 2.25) / 2
    # Content: 2 * mean(F^2) + 0.5 * mean((2F)^2).
    assert terms.content.item() == pytest.approx(3 * (2 + 0.5 * 4) * mean_square)
    # Style: all nine entries of the Gram matrix are mean(F^2) / C, the target is zero.
    assert terms.style.item() == pytest.approx(5 * 4 * 9 * (mean_square / 3) ** 2)
    # Total variation: in each of 3 channels and 20 rows one step of 1, over 400 pixels.
    assert terms.total_variation.item() == pytest.approx(10 * 3 * 20 / 400)
    assert terms.total.item() == pytest.approx(sum(term.item() for term in terms))


def test_gradients_reach_the_image_and_not_the_photo() -> None:
    loss = loss_against(ONE_LAYER, torch.rand(1, 3, 20, 20))
    images = torch.rand(1, 3, 20, 20, requires_grad=True)
    photos = torch.rand(1, 3, 20, 20, requires_grad=True)
    loss(images, photos).total.backward()
    assert images.grad.abs().sum() > 0
    assert photos.grad is None


def test_each_image_is_compared_with_its_own_painting() -> None:
    paintings = [torch.rand(1, 3, 20 + number, 30) for number in range(3)]
    images = photos = torch.rand(2, 3, 20, 20)

    def style_term(*paintings: Tensor, styles: list[int] | None = None) -> float:
        return loss_against(ONE_LAYER, *paintings)(images, photos, styles).style.item()

    def alone(image: int, style: int) -> float:
        one = slice(image, image + 1)
        return loss_against(ONE_LAYER, paintings[style])(images[one], photos[one]).style.item()

    expected = (alone(0, 2) + alone(1, 0)) / 2
    assert style_term(*paintings, styles=[2, 0]) == pytest.approx(expected)
    in_order = (alone(0, 0) + alone(1, 1)) / 2
    assert style_term(*paintings[:2]) == pytest.approx(in_order)
    assert expected != pytest.approx(in_order)


def test_the_distances_of_the_settings_are_used() -> None:
    settings = LossSettings(
        {"once": 1.0},
        {"once": 1.0},
        content_distance=Distance("charbonnier", 1e-6),
        style_distance=Distance("frobenius"),
    )
    loss = loss_against(settings, torch.zeros(1, 3, 20, 20))
    terms = loss(torch.full((2, 3, 20, 20), 0.5), torch.zeros(2, 3, 20, 20))
    assert terms.content.item() == pytest.approx(0.5, rel=1e-5)
    # All nine entries of the Gram matrix are 0.25 / 3.
    assert terms.style.item() == pytest.approx(0.25, rel=1e-5)


def test_blended_styles_are_weighted_by_their_parts() -> None:
    loss = PerceptualLoss(FakeLossNetwork(), ONE_LAYER)
    photo, one, other = torch.rand(3, 1, 3, 20, 20, dtype=torch.float64)
    content = loss.content_targets(photo)

    def style(*parts: float) -> tuple[float, Tensor]:
        blended = blend_styles(loss.style_targets([one, other]), parts)
        image = photo.clone().requires_grad_()
        term = loss(image, content, blended).style
        return term.item(), torch.autograd.grad(term, image)[0]

    only_one = loss(photo, content, loss.style_targets([one])).style.item()
    assert style(2.0, 0.0)[0] == pytest.approx(only_one, rel=1e-12)
    # The gradient of the loss against a mean is the mean of the gradients.
    mean = 0.25 * style(1.0, 0.0)[1] + 0.75 * style(0.0, 1.0)[1]
    torch.testing.assert_close(style(1.0, 3.0)[1], mean, rtol=1e-8, atol=1e-12)
