"""What decides a perceptual loss, and the loss that is made of it."""

from collections.abc import Iterable
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from stylebeam.transforms.images.io import ImageError
from stylebeam.transforms.losses.distances import Distance, DistanceName
from stylebeam.transforms.losses.loss_network import LossNetworkName, load_loss_network
from stylebeam.transforms.losses.perceptual import PerceptualLoss
from stylebeam.transforms.training.data import read_style_image
from stylebeam.transforms.training.loop_config import ConfigValueError


class PerceptualLossRecipe(BaseModel):
    """Everything that decides a perceptual loss but the painting.

    The loss is the sum over `content_weights` of weight * feature reconstruction loss, over
    `style_weights` of weight * style reconstruction loss, and `total_variation_weight` * total
    variation loss.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    loss_network: LossNetworkName = Field(
        default="embedded", description="The network that judges."
    )
    content_weights: dict[str, float] = Field(
        min_length=1, default={"relu3_1": 1.0}, description="Weight of the content loss, by layer."
    )
    style_weights: dict[str, float] = Field(
        min_length=1,
        default={"relu1_1": 4.0, "relu2_1": 24.0, "relu3_1": 24.0, "relu4_1": 8.0, "relu5_1": 8.0},
        description="Weight of the style loss, by layer.",
    )
    total_variation_weight: float = Field(
        default=1.0,
        ge=0,
        strict=True,
        description="How smooth: weight of the differences between neighbouring pixels.",
    )
    content_distance: DistanceName = Field(
        default="squared_error", description="What the content loss takes of two activations."
    )
    style_distance: DistanceName = Field(
        default="squared_error", description="What the style loss takes of two Gram matrices."
    )
    charbonnier_epsilon: float = Field(
        default=1e-3,
        gt=0,
        strict=True,
        description="The Charbonnier distance counts errors below it as their square, above it as"
        " they are.",
    )
    style_size: int = Field(
        default=512,
        ge=32,
        strict=True,
        description="Short side of the painting in pixels: size of strokes.",
    )

    @model_validator(mode="after")
    def _has_weights_for_its_loss_network(self) -> "PerceptualLossRecipe":
        needed = {"content_weights", "style_weights", "total_variation_weight"}
        missing = sorted(needed - self.model_fields_set)
        if self.loss_network != "embedded" and missing:
            raise ValueError(
                f"{', '.join(missing)} must be given with loss_network {self.loss_network}: the"
                " defaults are for embedded, whose activations have another scale"
            )
        return self

    def perceptual_loss(
        self, paintings: Iterable[Path], device: torch.device, precision: torch.dtype
    ) -> PerceptualLoss:
        """Return the loss against paintings, which count as styles 0, 1 and so on.

        Args:
            paintings: image files.
            device: where to compute.
            precision: of the loss network.

        Raises:
            ConfigValueError: a painting cannot be read, or the loss network has not such layers.
            WeightsUnavailableError: the loss network's weights are not to be had.
        """
        style_images = []
        for painting in paintings:
            try:
                style_images.append(read_style_image(painting, self.style_size).to(device))
            except (OSError, ImageError) as error:
                raise ConfigValueError(
                    f"style_image: {painting} cannot be read: {error}"
                ) from error
        try:
            layers = {**self.content_weights, **self.style_weights}
            network = load_loss_network(self.loss_network, layers, device, precision)
        except ValueError as error:
            raise ConfigValueError(f"content_weights or style_weights: {error}") from error
        return PerceptualLoss(
            network,
            style_images,
            self.content_weights,
            self.style_weights,
            self.total_variation_weight,
            Distance(self.content_distance, self.charbonnier_epsilon),
            Distance(self.style_distance, self.charbonnier_epsilon),
        )
