"""What an optimisation minimises: the loss of an image, and its gradient."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stylebeam.transforms.gatys.recipe import GatysRecipe
from stylebeam.transforms.losses.distances import Distance
from stylebeam.transforms.losses.functional import (
    feature_reconstruction_loss,
    gram_matrix,
    style_reconstruction_loss,
    total_variation_loss,
)
from stylebeam.transforms.losses.loss_network import LossNetwork, vgg_channels
from stylebeam.transforms.losses.perceptual import LossTerms

Painting = tuple[Tensor, float]
"""RGB in [0, 1], shape (1, 3, H, W), and its part in the style."""


class Objective:
    """The loss of an image against its photo and paintings.

    Of one image alone: convolutions of a batch round otherwise than those of a single image, which
    an optimisation makes visible, and at any but the smallest sizes they are no faster.
    """

    def __init__(
        self,
        network: LossNetwork,
        recipe: GatysRecipe,
        photo: Tensor,
        paintings: Sequence[Painting],
    ) -> None:
        """Compute what the image is compared with.

        Args:
            network: has the layers of the recipe.
            recipe: the loss.
            photo: RGB in [0, 1], shape (1, 3, H, W).
            paintings: of any size.
        """
        self._network = network
        self._recipe = recipe
        self._content_distance = Distance(recipe.content_distance, recipe.charbonnier_epsilon)
        self._style_distance = Distance(recipe.style_distance, recipe.charbonnier_epsilon)
        with torch.no_grad():
            self._features = network(photo, recipe.content_layers)
            self._grams = self._mean_grams(paintings)

    def evaluate(self, image: Tensor) -> tuple[LossTerms, Tensor]:
        """Return the weighted terms of an image's loss, and the gradient of their sum.

        Args:
            image: RGB, shape (1, 3, H, W), float32.
        """
        image = image.detach().requires_grad_()
        terms = self._terms(image, self._network(image))
        [gradient] = torch.autograd.grad(terms.total, [image])
        return LossTerms(*(term.detach() for term in terms)), gradient

    def _terms(self, image: Tensor, features: Mapping[str, Tensor]) -> LossTerms:
        recipe = self._recipe
        content = [
            weight * self._content_loss(layer, features[layer], self._features[layer])
            for layer, weight in recipe.content_layers.items()
        ]
        style = [
            weight * self._style_loss(layer, features[layer], self._grams[layer])
            for layer, weight in recipe.style_layers.items()
        ]
        return LossTerms(
            content=recipe.content_weight * torch.stack(content).sum(),
            style=recipe.style_weight * torch.stack(style).sum(),
            total_variation=recipe.total_variation_weight * total_variation_loss(image),
        )

    def _content_loss(self, layer: str, features: Tensor, target: Tensor) -> Tensor:
        # Fewer channels may stand for VGG's; a plain sum over them is to be that over VGG's.
        plain = features.shape[1] / vgg_channels(layer)
        return feature_reconstruction_loss(
            features,
            target,
            self._network.readout(layer),
            self._content_distance,
            count=None if self._recipe.content_normalized else plain,
        )

    def _style_loss(self, layer: str, features: Tensor, target: Tensor) -> Tensor:
        gram = self._gram(layer, features)
        if not self._recipe.gram_normalized:
            # That of the paintings too, which are to weigh as if they had as many places.
            sums = vgg_channels(layer) * features.shape[2] * features.shape[3]
            gram, target = sums * gram, sums * target
        return style_reconstruction_loss(gram, target, self._style_distance)

    def _mean_grams(self, paintings: Sequence[Painting]) -> dict[str, Tensor]:
        """Return the mean Gram matrices of paintings by their parts, shape (1, C, C) a layer.

        For squared errors its minimum is that of the mean of the losses.
        """
        total = sum(part for _, part in paintings)
        means: dict[str, Tensor] = {}
        for painting, part in paintings:
            for layer, features in self._network(painting, self._recipe.style_layers).items():
                gram = part / total * self._gram(layer, features)
                means[layer] = means[layer] + gram if layer in means else gram
        return means

    def _gram(self, layer: str, features: Tensor) -> Tensor:
        return gram_matrix(features, self._network.readout(layer))
