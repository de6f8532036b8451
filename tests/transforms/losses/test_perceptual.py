"""The perceptual loss: its terms, each against a direct computation."""

from collections.abc import Collection

import pytest
import torch

from stylebeam.transforms.losses.distances import Distance
from stylebeam.transforms.losses.perceptual import PerceptualLoss


class FakeLossNetwork(torch.nn.Module):
    """Activations that are easy to compute by hand: the image, and twice the image."""

    def forward(
        self, images: torch.Tensor, layers: Collection[str] = ("once", "twice")
    ) -> dict[str, torch.Tensor]:
        return {layer: (1 + (layer == "twice")) * images for layer in layers}

    def readout(self, layer: str) -> None:
        return None


def test_each_term_is_its_loss_times_its_weight() -> None:
    style = torch.zeros(1, 3, 20, 20)
    loss = PerceptualLoss(
        FakeLossNetwork(), [style], {"once": 2.0, "twice": 0.5}, {"once": 4.0}, 10.0
    )
    content = torch.zeros(2, 3, 20, 20)
    images = torch.full((2, 3, 20, 20), 0.5)
    images[:, :, :, 10:] = 1.5
    terms = loss(images, content)
    mean_square = (0.25 + 2.25) / 2
    # Content: 2 * mean(F^2) + 0.5 * mean((2F)^2).
    torch.testing.assert_close(terms.content.item(), 2 * mean_square + 0.5 * 4 * mean_square)
    # Style: all nine entries of the Gram matrix are mean(F^2) / C, the target is zero.
    torch.testing.assert_close(terms.style.item(), 4 * 9 * (mean_square / 3) ** 2)
    # Total variation: in each of 3 channels and 20 rows one step of 1, over 400 pixels.
    torch.testing.assert_close(terms.total_variation.item(), 10 * 3 * 20 / 400)
    torch.testing.assert_close(
        terms.total.item(), sum(term.item() for term in terms), rtol=1e-6, atol=0
    )


def test_gradients_reach_the_image_and_not_the_content() -> None:
    loss = PerceptualLoss(
        FakeLossNetwork(), [torch.rand(1, 3, 20, 20)], {"once": 1.0}, {"once": 1.0}, 1
    )
    images = torch.rand(1, 3, 20, 20, requires_grad=True)
    content = torch.rand(1, 3, 20, 20, requires_grad=True)
    loss(images, content).total.backward()
    assert images.grad.abs().sum() > 0
    assert content.grad is None


def test_each_image_is_judged_by_the_style_that_it_is_to_have() -> None:
    styles = [torch.rand(1, 3, 20 + number, 30) for number in range(3)]
    images = content = torch.rand(2, 3, 20, 20)

    def style_term(paintings: list[torch.Tensor], **arguments: object) -> float:
        loss = PerceptualLoss(FakeLossNetwork(), paintings, {"once": 1.0}, {"once": 1.0}, 0)
        return loss(images, content, **arguments).style.item()

    def alone(image: int, style: int) -> float:
        loss = PerceptualLoss(FakeLossNetwork(), [styles[style]], {"once": 1.0}, {"once": 1.0}, 0)
        return loss(images[image : image + 1], content[image : image + 1]).style.item()

    expected = (alone(0, 2) + alone(1, 0)) / 2
    assert style_term(styles, styles=[2, 0]) == pytest.approx(expected)
    in_order = (alone(0, 0) + alone(1, 1)) / 2
    assert style_term(styles[:2]) == pytest.approx(in_order)
    assert expected != pytest.approx(in_order)


def test_distances_are_as_asked_for() -> None:
    style = torch.zeros(1, 3, 20, 20)
    loss = PerceptualLoss(
        FakeLossNetwork(),
        [style],
        {"once": 1.0},
        {"once": 1.0},
        0.0,
        content_distance=Distance("charbonnier", 1e-6),
        style_distance=Distance("frobenius"),
    )
    terms = loss(torch.full((2, 3, 20, 20), 0.5), torch.zeros(2, 3, 20, 20))
    torch.testing.assert_close(terms.content.item(), 0.5, rtol=1e-5, atol=0)
    # All nine entries of the Gram matrix are 0.25 / 3.
    torch.testing.assert_close(terms.style.item(), 0.25, rtol=1e-5, atol=0)
