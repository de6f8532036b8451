"""The perceptual loss of a stylised image against its photo and a painting."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from transforms.losses import (
    feature_reconstruction_loss,
    gram_matrix,
    style_reconstruction_loss,
    total_variation_loss,
)
from transforms.vgg import LossNetwork

# Pixels around an image; a multiple of the loss network's stride at every layer.
_MARGIN = 16


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
        style_image: Tensor,
        content_weights: Mapping[str, float],
        style_weights: Mapping[str, float],
        total_variation_weight: float,
    ) -> None:
        """Compute the style's Gram matrices.

        Args:
            network: returns at least the layers that are weighted.
            style_image: RGB in [0, 1], shape (1, 3, H, W), on the network's device.
            content_weights: weight by layer.
            style_weights: weight by layer.
            total_variation_weight: weight of smoothness.
        """
        self._network = network
        self._content_weights = content_weights
        self._style_weights = style_weights
        self._total_variation_weight = total_variation_weight
        with torch.no_grad():
            activations = self._activations(style_image)
        self._style_grams = {layer: gram_matrix(activations[layer]) for layer in style_weights}

    def __call__(self, images: Tensor, content_images: Tensor) -> LossTerms:
        """Return the weighted terms of the loss, averaged over the batch.

        Args:
            images: RGB, shape (B, 3, H, W), float32, each side at least 17.
            content_images: RGB in [0, 1], of the same shape.
        """
        with torch.no_grad():
            targets = self._activations(content_images)
        activations = self._activations(images)
        content = [
            weight * feature_reconstruction_loss(activations[layer], targets[layer])
            for layer, weight in self._content_weights.items()
        ]
        style = [
            weight
            * style_reconstruction_loss(gram_matrix(activations[layer]), self._style_grams[layer])
            for layer, weight in self._style_weights.items()
        ]
        return LossTerms(
            content=torch.stack(content).sum(),
            style=torch.stack(style).sum(),
            total_variation=self._total_variation_weight * total_variation_loss(images),
        )

    def _activations(self, images: Tensor) -> dict[str, Tensor]:
        """Return the activations of images that seem to go on beyond their borders.

        The loss network pads with zeros, a dark frame around each image. A network that is judged
        with it learns to answer the frame, and draws a border of its own.
        """
        padded = F.pad(images, (_MARGIN, _MARGIN, _MARGIN, _MARGIN), mode="reflect")
        activations = {}
        for layer, values in self._network(padded).items():
            margin = _MARGIN * values.shape[-1] // padded.shape[-1]
            height, width = values.shape[-2] - 2 * margin, values.shape[-1] - 2 * margin
            activations[layer] = values.narrow(-2, margin, height).narrow(-1, margin, width)
        return activations
