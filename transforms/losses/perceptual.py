"""The perceptual loss of a stylised image against its photo and a painting."""

from collections.abc import Mapping, Sequence
from functools import partial
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
from stylebeam.transforms.losses.loss_network import LossNetwork, interior_activations


class LossTerms(NamedTuple):
    """The weighted terms of a loss, each a scalar."""

    content: Tensor
    style: Tensor
    total_variation: Tensor

    @property
    def total(self) -> Tensor:
        """The sum of the terms."""
        return self.content + self.style + self.total_variation


class PerceptualLoss:
    """Johnson et al. 2016, equation (5): how far an image is from a content and a style.

    loss = sum over content layers of weight * feature reconstruction loss
         + sum over style layers of weight * style reconstruction loss
         + weight * total variation loss
    """

    def __init__(
        self,
        network: LossNetwork,
        style_images: Sequence[Tensor],
        content_weights: Mapping[str, float],
        style_weights: Mapping[str, float],
        total_variation_weight: float,
        content_distance: Distance = SQUARED_ERROR,
        style_distance: Distance = SQUARED_ERROR,
    ) -> None:
        """Compute the style's Gram matrices.

        Args:
            network: returns at least the layers that are weighted.
            style_images: of each style, RGB in [0, 1], shape (1, 3, H, W), of any size; on the
                network's device.
            content_weights: weight by layer.
            style_weights: weight by layer.
            total_variation_weight: weight of smoothness.
            content_distance: of activations.
            style_distance: of Gram matrices.
        """
        self._network = network
        self._content_weights = content_weights
        self._style_weights = style_weights
        self._total_variation_weight = total_variation_weight
        self._content_distance = content_distance
        self._style_distance = style_distance
        self._style_grams = self._grams_of(style_images)

    def __call__(
        self, images: Tensor, content_images: Tensor, styles: Sequence[int] | None = None
    ) -> LossTerms:
        """Return the weighted terms of the loss, averaged over the batch.

        Args:
            images: RGB, shape (B, 3, H, W), float32, each side at least 17.
            content_images: RGB in [0, 1], of the same shape.
            styles: which style each image is to have; by default the only one, or image i style i.
        """
        return self.against(images, self.targets_of(content_images), styles)

    def against(
        self, images: Tensor, targets: Mapping[str, Tensor], styles: Sequence[int] | None = None
    ) -> LossTerms:
        """Return the weighted terms of the loss against content images that are known already.

        Args:
            images: RGB, shape (B, 3, H, W), float32, each side at least 17.
            targets: of the content images, from `targets_of`.
            styles: which style each image is to have; by default the only one, or image i style i.
        """
        activations = interior_activations(self._network, images)
        return self.terms(images, activations, targets, styles)

    @torch.no_grad()
    def targets_of(self, content_images: Tensor) -> dict[str, Tensor]:
        """Return the activations that the content losses compare with, by layer.

        Args:
            content_images: RGB in [0, 1], shape (B, 3, H, W), each side at least 17.
        """
        # The style's layers are deeper as a rule, and of no use here.
        network = partial(self._network, layers=self._content_weights.keys())
        return interior_activations(network, content_images)

    def terms(
        self,
        images: Tensor,
        activations: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        styles: Sequence[int] | None = None,
    ) -> LossTerms:
        """Return the weighted terms of the loss of images whose activations are known.

        Args:
            images: RGB, shape (B, 3, H, W), float32.
            activations: the network's `interior_activations` of the images.
            targets: those of the content images, from `targets_of`.
            styles: which style each image is to have; by default the only one, or image i style i.
        """
        content = [
            weight
            * feature_reconstruction_loss(
                activations[layer],
                targets[layer],
                self._network.readout(layer),
                self._content_distance,
            )
            for layer, weight in self._content_weights.items()
        ]
        style = [
            weight
            * style_reconstruction_loss(
                self._gram_of(layer, activations),
                self._style_grams[layer] if styles is None else self._style_grams[layer][styles],
                self._style_distance,
            )
            for layer, weight in self._style_weights.items()
        ]
        return LossTerms(
            content=torch.stack(content).sum(),
            style=torch.stack(style).sum(),
            total_variation=self._total_variation_weight * total_variation_loss(images),
        )

    @torch.no_grad()
    def _grams_of(self, style_images: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return by layer the styles' Gram matrices, shape (styles, C, C)."""
        activations = [interior_activations(self._network, image) for image in style_images]
        return {
            layer: torch.cat([self._gram_of(layer, of_style) for of_style in activations])
            for layer in self._style_weights
        }

    def _gram_of(self, layer: str, activations: Mapping[str, Tensor]) -> Tensor:
        return gram_matrix(activations[layer], self._network.readout(layer))
