"""The part of a config that decides a perceptual loss."""

from collections.abc import Iterable
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from stylebeam.transforms.images.formats import ImageError
from stylebeam.transforms.losses.borders import ReflectedMargin
from stylebeam.transforms.losses.distances import (
    CharbonnierEpsilon,
    ContentDistance,
    Distance,
    StyleDistance,
)
from stylebeam.transforms.losses.loss_network import LossNetworkName, load_loss_network
from stylebeam.transforms.losses.perceptual import LossSettings, PerceptualLoss, StylizationLoss
from stylebeam.transforms.training.data import read_style_image
from stylebeam.transforms.training.loop_config import ConfigValueError


class PerceptualLossConfig(BaseModel):
    """Everything that decides a perceptual loss except the painting.

    The loss is

        sum over content_weights of weight * feature reconstruction loss
        + sum over style_weights of weight * style reconstruction loss
        + total_variation_weight * total variation loss
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    loss_network: LossNetworkName = Field(
        default="embedded", description="The loss network; embedded is the distilled VGG."
    )
    content_weights: dict[str, float] = Field(
        min_length=1, default={"relu3_1": 1.0}, description="Loss weight of the content, by layer."
    )
    style_weights: dict[str, float] = Field(
        min_length=1,
        default={"relu1_1": 4.0, "relu2_1": 24.0, "relu3_1": 24.0, "relu4_1": 8.0, "relu5_1": 8.0},
        description="Loss weight of the style, by layer.",
    )
    total_variation_weight: float = Field(
        default=1.0,
        ge=0,
        strict=True,
        description="Loss weight of the total variation: a larger one makes smoother pictures.",
    )
    content_distance: ContentDistance = "squared_error"
    style_distance: StyleDistance = "squared_error"
    charbonnier_epsilon: CharbonnierEpsilon = 1e-3
    style_size: int = Field(
        default=512,
        ge=32,
        strict=True,
        description="Short side of the painting in pixels: decides the size of the strokes.",
    )

    @model_validator(mode="after")
    def _check_weights_for_vgg(self) -> "PerceptualLossConfig":
        needed = {"content_weights", "style_weights", "total_variation_weight", "color_weight"}
        missing = sorted(needed & set(type(self).model_fields) - self.model_fields_set)
        if self.loss_network != "embedded" and missing:
            raise ValueError(
                f"{', '.join(missing)} must be given with loss_network {self.loss_network}: the"
                " defaults are for embedded, whose activations have another scale"
            )
        return self

    @property
    def loss(self) -> LossSettings:
        """The layers, weights and distances of the loss."""
        return LossSettings(
            content_layers=self.content_weights,
            style_layers=self.style_weights,
            total_variation_weight=self.total_variation_weight,
            content_distance=Distance(self.content_distance, self.charbonnier_epsilon),
            style_distance=Distance(self.style_distance, self.charbonnier_epsilon),
        )

    def painting(self, path: Path) -> Tensor:
        """Return a painting at `style_size`, RGB in [0, 1], shape (1, 3, H, W).

        Raises:
            ConfigValueError: it cannot be read.
        """
        try:
            return read_style_image(path, self.style_size)
        except (OSError, ImageError) as error:
            raise ConfigValueError(f"style_image: {path} cannot be read: {error}") from error

    def perceptual_loss(
        self, paintings: Iterable[Path], device: torch.device, precision: torch.dtype
    ) -> StylizationLoss:
        """Return the loss against paintings, which are styles 0, 1 and so on.

        Args:
            paintings: image files.
            device: where to compute.
            precision: of the loss network.

        Raises:
            ConfigValueError: a painting cannot be read, or the loss network does not have a layer.
            WeightsUnavailableError: the weights of the loss network cannot be found.
        """
        style_images = [self.painting(path).to(device) for path in paintings]
        try:
            layers = self.loss.layers
            network = load_loss_network(self.loss_network, layers, device, precision)
        except ValueError as error:
            raise ConfigValueError(f"content_weights or style_weights: {error}") from error
        return StylizationLoss(PerceptualLoss(ReflectedMargin(network), self.loss), style_images)
