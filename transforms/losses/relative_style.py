"""A style loss that counts all paintings alike, whatever the size of their Gram matrices."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from stylebeam.transforms.losses.functional import gram_matrix
from stylebeam.transforms.losses.loss_network import LossNetwork

# Divisors are at least this: a painting can have the Gram matrices of photos without variance.
_SMALLEST_DISTANCE = 1e-20

Grams = Mapping[str, Tensor]
"""Gram matrices by layer, shape (N, C, C)."""


class RelativeStyleLoss:
    """The style loss of a picture, relative to that of photos as they are.

    With the distance d_l = ||G_l - A_l||_F^2 between the Gram matrices of picture and painting in
    layer l, the mean D_l of this distance over photos, and weights w_l,

        l = 1/2 (sum over l of w_l d_l) / (sum over l of w_l D_l) + 1/2 mean over l of d_l / D_l

    where the second mean is over the layers that count alike.
    It is about 1 for a photo and 0 for the painting. The style loss of Gatys et al. 2016 is
    thousands of times larger for one painting than for another (Cheng et al. 2021, "Style-Aware
    Normalized Loss for Improving Arbitrary Style Transfer"). The second term of deep layers makes
    large forms, which they see, count as much as strokes.
    """

    def __init__(
        self,
        network: LossNetwork,
        weights: Mapping[str, float],
        photos: Sequence[Tensor],
        alike: Collection[str] | None = None,
    ) -> None:
        """Measure the Gram matrices of photos.

        Args:
            network: returns at least the layers of `weights`.
            weights: loss weight of each layer.
            photos: each RGB in [0, 1], shape (1, 3, H, W); at least one.
            alike: the layers that count alike in the second term, by default all.
        """
        self._network = network
        self._weights = weights
        self._alike = [layer in (alike or weights) for layer in weights]
        grams = [self.grams(network(photo, weights.keys())) for photo in photos]
        self._mean, self._variance = {}, {}
        for layer in weights:
            of_layer = torch.cat([each[layer] for each in grams])
            self._mean[layer] = of_layer.mean(0)
            self._variance[layer] = (of_layer - of_layer.mean(0)).square().sum((1, 2)).mean()

    def grams(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the Gram matrices of features that the network returned, by layer."""
        return {
            layer: gram_matrix(features[layer], self._network.readout(layer))
            for layer in self._weights
        }

    def __call__(self, features: Mapping[str, Tensor], targets: Grams) -> Tensor:
        """Return the loss of each picture, shape (N,).

        Args:
            features: of N pictures, by layer, as the network returns them.
            targets: the Gram matrices of their paintings, in at least the layers of the loss.
        """
        grams = self.grams(features)
        distances, of_photos = [], []
        for layer, weight in self._weights.items():
            target = targets[layer]
            distances.append(weight * (grams[layer] - target).square().sum((1, 2)))
            from_mean = (self._mean[layer] - target).square().sum((1, 2))
            of_photos.append(weight * (from_mean + self._variance[layer]))
        distance = torch.stack(distances)
        of_photo = torch.stack(of_photos).clamp_min(_SMALLEST_DISTANCE)
        relative = (distance / of_photo)[self._alike]
        return (distance.sum(0) / of_photo.sum(0) + relative.mean(0)) / 2
