"""What an optimisation minimises: the loss of each image of a batch, and its gradient."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from transforms.distances import Distance
from transforms.gatys.recipe import GatysRecipe
from transforms.loss_network import LossNetwork, vgg_channels
from transforms.losses import (
    feature_reconstruction_loss,
    gram_matrix,
    style_reconstruction_loss,
    total_variation_loss,
)
from transforms.perceptual_loss import LossTerms

Painting = tuple[Tensor, float]
"""RGB in [0, 1], shape (1, 3, H, W), and its part in the style."""


class Evaluation(NamedTuple):
    """What is known of images.

    Attributes:
        terms: the weighted terms of each image's loss.
        gradients: of each image's total, float32 of the images' shape.
    """

    terms: list[LossTerms]
    gradients: Tensor


class Objective:
    """The loss of images of one size, each against its own photo and paintings.

    An image's loss and gradient do not depend on the images beside it.
    """

    def __init__(
        self,
        network: LossNetwork,
        recipe: GatysRecipe,
        photos: Tensor,
        paintings: Sequence[Sequence[Painting]],
    ) -> None:
        """Compute what the images are compared with.

        Args:
            network: has the layers of the recipe.
            recipe: the loss.
            photos: RGB in [0, 1], shape (B, 3, H, W).
            paintings: of each photo.
        """
        self._network = network
        self._recipe = recipe
        self._content_distance = Distance(recipe.content_distance, recipe.charbonnier_epsilon)
        self._style_distance = Distance(recipe.style_distance, recipe.charbonnier_epsilon)
        with torch.no_grad():
            self._features = [network(photo, recipe.content_layers) for photo in photos.split(1)]
            self._grams = [self._mean_grams(of_photo) for of_photo in paintings]

    def evaluate(self, images: Tensor, photos: Sequence[int]) -> Evaluation:
        """Return the losses of images and their gradients.

        Args:
            images: RGB, shape (N, 3, H, W), float32.
            photos: which photo each is compared with.
        """
        images = images.detach().requires_grad_()
        activations = self._network(images)
        # Features of one image at a time, so that no sum runs over other images too.
        by_image = {layer: values.split(1) for layer, values in activations.items()}
        terms = [
            self._terms(image, {layer: by_image[layer][number] for layer in by_image}, photo)
            for number, (image, photo) in enumerate(zip(images.split(1), photos, strict=True))
        ]
        total = torch.stack([each.total for each in terms]).sum()
        [gradients] = torch.autograd.grad(total, [images])
        return Evaluation(
            [LossTerms(*(term.detach() for term in each)) for each in terms], gradients
        )

    def _terms(self, image: Tensor, features: Mapping[str, Tensor], photo: int) -> LossTerms:
        recipe = self._recipe
        content = [
            weight * self._content_loss(layer, features[layer], self._features[photo][layer])
            for layer, weight in recipe.content_layers.items()
        ]
        style = [
            weight * self._style_loss(layer, features[layer], self._grams[photo][layer])
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
