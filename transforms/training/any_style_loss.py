"""The loss of a training for any painting."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.losses.color import color_loss
from stylebeam.transforms.losses.functional import (
    feature_reconstruction_loss,
    grid_loss,
    total_variation_loss,
)
from stylebeam.transforms.losses.loss_network import LossNetwork
from stylebeam.transforms.losses.relative_style import RelativeStyleLoss
from stylebeam.transforms.prediction.statistics import LAYERS
from stylebeam.transforms.training.data import Draw
from stylebeam.transforms.training.style_targets import StyleTarget

# The deeper one keeps skies empty: pictures had patches of color there that belonged to nothing.
_CONTENT_LAYERS = ("relu3_1", "relu4_1")
# Little of the first layer, which sees the weave of the canvas: pictures repeated it everywhere.
_STYLE_WEIGHTS = {"relu1_1": 1.0, "relu2_1": 10.0, "relu3_1": 24.0, "relu4_1": 8.0, "relu5_1": 6.0}
_LAYERS_ALIKE = ("relu2_1", "relu3_1", "relu4_1")
_COLOR_DIRECTIONS = 16  # in each iteration
# Pictures are clipped to [0, 1]. In the loss, a tenth of what is outside remains, so that the
# network learns to stay inside.
_LEAK = 0.1


class LossWeights(NamedTuple):
    """The weights of the terms of the loss."""

    content: float = 3.0
    style: float = 8.0
    color: float = 15.0
    total_variation: float = 3.0
    grid: float = 1e4


class AnyStyleLoss:
    """The loss of pictures, given their photos and styles.

    It is the weighted sum of content loss, relative style loss, color loss, total variation loss
    and grid loss.
    """

    def __init__(
        self, weights: LossWeights, network: LossNetwork, photos: Sequence[Tensor], seed: int
    ) -> None:
        """Measure photos, for the relative style loss.

        Args:
            weights: of the terms.
            network: the loss network, with at least `prediction.statistics.LAYERS`.
            photos: some crops, each RGB in [0, 1], shape (1, 3, H, W).
            seed: of the directions of the color loss.
        """
        self._weights = weights
        self._seed = seed
        self._network = network
        with torch.no_grad():
            self._style = RelativeStyleLoss(network, _STYLE_WEIGHTS, photos, _LAYERS_ALIKE)

    def __call__(
        self, iteration: int, stylized: Tensor, photos: Tensor, targets: Sequence[StyleTarget]
    ) -> dict[str, Tensor]:
        """Return the weighted terms of the loss, by name.

        Args:
            iteration: decides the random directions of the color loss.
            stylized: the pictures, RGB, shape (B, 3, H, W), float32.
            photos: RGB in [0, 1], of the same shape.
            targets: the style of each picture.
        """
        weights = self._weights
        clipped = stylized.clamp(0, 1)
        pictures = clipped + _LEAK * (stylized - clipped)
        with torch.no_grad():
            content = self._network(photos, _CONTENT_LAYERS)
        features = self._network(pictures, LAYERS)
        grams = {
            layer: torch.cat([target.statistics.whole.grams[layer] for target in targets])
            for layer in LAYERS
        }
        directions = F.normalize(
            Draw(self._seed, iteration).noise((_COLOR_DIRECTIONS, 3)), dim=1
        ).to(pictures)
        colors = color_loss(pictures, [target.colors for target in targets], directions)
        of_content = [
            feature_reconstruction_loss(features[layer], content[layer])
            for layer in _CONTENT_LAYERS
        ]
        return {
            "content": weights.content * torch.stack(of_content).mean(),
            "style": weights.style * self._style(features, grams).mean(),
            "color": weights.color * colors,
            "total_variation": weights.total_variation * total_variation_loss(pictures),
            "grid": weights.grid * grid_loss(pictures),
        }
