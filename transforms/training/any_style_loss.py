"""The loss of a training for any painting."""

from collections.abc import Sequence

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
from stylebeam.transforms.training.any_style_config import AnyStyleTrainingConfig
from stylebeam.transforms.training.data import Draw
from stylebeam.transforms.training.style_targets import StyleTarget

_CONTENT_LAYER = "relu3_1"
_STYLE_WEIGHTS = {"relu1_1": 4.0, "relu2_1": 24.0, "relu3_1": 24.0, "relu4_1": 8.0, "relu5_1": 8.0}
_COLOR_DIRECTIONS = 16  # in each iteration
# Pictures are clipped to [0, 1]. In the loss, a tenth of what is outside remains, so that the
# network learns to stay inside.
_LEAK = 0.1


class AnyStyleLoss:
    """The loss of pictures, given their photos and styles.

    It is the sum of content loss, relative style loss, color loss, total variation loss and grid
    loss, each times its weight in the config.
    """

    def __init__(
        self, config: AnyStyleTrainingConfig, network: LossNetwork, photos: Sequence[Tensor]
    ) -> None:
        """Measure photos, for the relative style loss.

        Args:
            config: the loss weights.
            network: the loss network, with at least `prediction.statistics.LAYERS`.
            photos: some crops, each RGB in [0, 1], shape (1, 3, H, W).
        """
        self._config = config
        self._network = network
        with torch.no_grad():
            self._style = RelativeStyleLoss(network, _STYLE_WEIGHTS, photos)

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
        config = self._config
        clipped = stylized.clamp(0, 1)
        pictures = clipped + _LEAK * (stylized - clipped)
        with torch.no_grad():
            content = self._network(photos, [_CONTENT_LAYER])[_CONTENT_LAYER]
        features = self._network(pictures, LAYERS)
        grams = {
            layer: torch.cat([target.statistics.whole.grams[layer] for target in targets])
            for layer in LAYERS
        }
        directions = F.normalize(
            Draw(config.seed, iteration).noise((_COLOR_DIRECTIONS, 3)), dim=1
        ).to(pictures)
        colors = color_loss(pictures, [target.colors for target in targets], directions)
        return {
            "content": config.content_weight
            * feature_reconstruction_loss(features[_CONTENT_LAYER], content),
            "style": config.style_weight * self._style(features, grams).mean(),
            "color": config.color_weight * colors,
            "total_variation": config.total_variation_weight * total_variation_loss(pictures),
            "grid": config.grid_weight * grid_loss(pictures),
        }
