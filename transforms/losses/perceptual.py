"""The perceptual loss: how far an image is from a photo's content and a painting's style."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from stylebeam.transforms.losses.distances import SQUARED_ERROR, Distance
from stylebeam.transforms.losses.functional import (
    feature_reconstruction_loss,
    gram_matrix,
    style_reconstruction_loss,
    total_variation_loss,
)
from stylebeam.transforms.losses.loss_network import LossNetwork, vgg_channels

Targets = Mapping[str, Tensor]
"""By layer, what an image is compared with: features of photos, or Gram matrices of paintings."""


@dataclass(frozen=True)
class LossSettings:
    """The layers, weights and distances of a perceptual loss.

    Attributes:
        content_layers: loss weights of the content loss, by layer.
        style_layers: loss weights of the style loss, by layer.
        content_weight: loss weight of all content layers together.
        style_weight: loss weight of all style layers together.
        total_variation_weight: loss weight of the total variation.
        content_distance: between features.
        style_distance: between Gram matrices.
        content_normalized: divide the content loss by the number of features, C H W.
        gram_normalized: divide Gram matrices by the number of features, C H W.
    """

    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    content_weight: float = 1.0
    style_weight: float = 1.0
    total_variation_weight: float = 0.0
    content_distance: Distance = SQUARED_ERROR
    style_distance: Distance = SQUARED_ERROR
    content_normalized: bool = True
    gram_normalized: bool = True

    @property
    def layers(self) -> frozenset[str]:
        """All layers that the loss network must return."""
        return frozenset({*self.content_layers, *self.style_layers})


class LossTerms(NamedTuple):
    """The weighted terms of a loss, each a scalar."""

    content: Tensor
    style: Tensor
    total_variation: Tensor

    @property
    def total(self) -> Tensor:
        """The sum of the terms."""
        return self.content + self.style + self.total_variation

    def detach(self) -> "LossTerms":
        """Return the terms without their graph."""
        return LossTerms(*(term.detach() for term in self))


class PerceptualLoss:
    """Johnson et al. 2016, equation (5). Keeps nothing but the network and the settings.

    With features F of an image, P of its photo, Gram matrices G of the image and A of its painting,
    and the distances d of the settings:

        loss = content_weight * sum over content layers of weight * d(F, P)
             + style_weight * sum over style layers of weight * d(G, A)
             + total_variation_weight * total variation loss
    """

    def __init__(self, network: LossNetwork, settings: LossSettings) -> None:
        """Store what the loss is computed with.

        Args:
            network: returns at least the layers of the settings.
            settings: layers, weights and distances.
        """
        self.network = network
        self.settings = settings

    @torch.no_grad()
    def content_targets(self, photos: Tensor) -> Targets:
        """Return the features of photos in the content layers.

        Args:
            photos: RGB in [0, 1], shape (B, 3, H, W), on the network's device.

        Returns:
            By layer, shape (B, C, H', W').
        """
        return self.network(photos, self.settings.content_layers.keys())

    @torch.no_grad()
    def style_targets(self, paintings: Sequence[Tensor]) -> Targets:
        """Return the Gram matrices of paintings in the style layers.

        Args:
            paintings: N images, RGB in [0, 1], shape (1, 3, H, W), each of any size.

        Returns:
            By layer, shape (N, C, C).
        """
        grams: dict[str, list[Tensor]] = {layer: [] for layer in self.settings.style_layers}
        for painting in paintings:
            for layer, features in self.network(painting, grams.keys()).items():
                grams[layer].append(self._gram(layer, features))
        return {layer: torch.cat(of_layer) for layer, of_layer in grams.items()}

    def __call__(self, images: Tensor, content: Targets, style: Targets) -> LossTerms:
        """Return the weighted terms of the loss, averaged over a batch.

        Args:
            images: RGB, shape (B, 3, H, W), float32.
            content: the `content_targets` of B photos of the same size.
            style: the `style_targets` of B paintings, or of one for all images.
        """
        return self.terms(images, self.network(images), content, style)

    def terms(
        self, images: Tensor, features: Mapping[str, Tensor], content: Targets, style: Targets
    ) -> LossTerms:
        """Return the weighted terms of the loss of images whose features are known.

        Args:
            images: RGB, shape (B, 3, H, W), float32.
            features: what the network returns for the images.
            content: as in `__call__`.
            style: as in `__call__`.
        """
        settings = self.settings
        content_losses = [
            weight * self._content_loss(layer, features[layer], content[layer])
            for layer, weight in settings.content_layers.items()
        ]
        style_losses = [
            weight * self._style_loss(layer, features[layer], style[layer])
            for layer, weight in settings.style_layers.items()
        ]
        return LossTerms(
            content=settings.content_weight * torch.stack(content_losses).sum(),
            style=settings.style_weight * torch.stack(style_losses).sum(),
            total_variation=settings.total_variation_weight * total_variation_loss(images),
        )

    def _content_loss(self, layer: str, features: Tensor, target: Tensor) -> Tensor:
        count = None
        if not self.settings.content_normalized:
            # A layer of the distilled VGG may have fewer channels than VGG's. The sum over them
            # is scaled to the size of a sum over VGG's channels.
            count = features.shape[1] / vgg_channels(layer)
        return feature_reconstruction_loss(
            features, target, self.network.readout(layer), self.settings.content_distance, count
        )

    def _style_loss(self, layer: str, features: Tensor, target: Tensor) -> Tensor:
        gram = self._gram(layer, features)
        if not self.settings.gram_normalized:
            # The painting's matrix has the same factor: its size must not change its weight.
            factor = vgg_channels(layer) * features.shape[2] * features.shape[3]
            gram, target = factor * gram, factor * target
        return style_reconstruction_loss(gram, target, self.settings.style_distance)

    def _gram(self, layer: str, features: Tensor) -> Tensor:
        return gram_matrix(features, self.network.readout(layer))


def blend_styles(style: Targets, parts: Sequence[float]) -> Targets:
    """Return the weighted mean of the Gram matrices of several paintings.

    For squared errors, the loss against the mean has its minimum where the mean of the losses has
    its own.

    Args:
        style: the `style_targets` of N paintings.
        parts: the N weights of the paintings, with a sum above 0.

    Returns:
        By layer, shape (1, C, C).
    """
    total = sum(parts)
    blended = {}
    for layer, grams in style.items():
        weighted = [part / total * gram for part, gram in zip(parts, grams.split(1), strict=True)]
        blended[layer] = sum(weighted[1:], start=weighted[0])
    return blended


class StylizationLoss:
    """The perceptual loss of stylized images against their photos and a fixed set of paintings.

    Attributes:
        loss: the perceptual loss.
        style: the `style_targets` of the paintings.
    """

    def __init__(self, loss: PerceptualLoss, paintings: Sequence[Tensor]) -> None:
        """Compute the Gram matrices of the paintings.

        Args:
            loss: the perceptual loss.
            paintings: of each style, RGB in [0, 1], shape (1, 3, H, W), of any size; on the
                network's device.
        """
        self.loss = loss
        self.style = loss.style_targets(paintings)

    def __call__(
        self, images: Tensor, photos: Tensor, styles: Sequence[int] | None = None
    ) -> LossTerms:
        """Return the weighted terms of the loss, averaged over a batch.

        Args:
            images: RGB, shape (B, 3, H, W), float32.
            photos: RGB in [0, 1], of the same shape.
            styles: the index of each image's painting; by default the only painting, or painting i
                for image i.
        """
        style = self.style
        if styles is not None:
            style = {layer: grams[styles] for layer, grams in style.items()}
        return self.loss(images, self.loss.content_targets(photos), style)
