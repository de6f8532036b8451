"""The recipe of a style network's training: everything that decides what comes of it."""

from pathlib import Path

from pydantic import Field, model_validator

from transforms.distances import DistanceName
from transforms.loss_network import LossNetworkName
from transforms.networks import STYLE_NETWORK_NAMES
from transforms.training_loop import LoopRecipe


class TrainingRecipe(LoopRecipe):
    """Everything that decides what a training makes.

    The loss of a batch is the sum over `content_weights` of weight * feature reconstruction loss,
    over `style_weights` of weight * style reconstruction loss, and `total_variation_weight` *
    total variation loss.
    """

    style_image: Path | None = Field(default=None, description="The painting.")
    style_images: Path | None = Field(
        default=None, description="Instead of one, a folder of paintings for network: multi_style."
    )
    content_images: Path = Field(description="A folder of photographs, searched recursively.")
    add_to: Path | None = Field(
        default=None,
        description="A checkpoint of network multi_style, to which the painting is added: its"
        " vector alone is trained, and nothing else in the checkpoint changes.",
    )
    network: str = Field(default="johnson", description="The network to train.")
    network_arguments: dict[str, int | str] = Field(
        default={}, description="What it is built with, such as {upsampling: transposed}."
    )
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
    total_variation_weight: float = Field(default=1.0, ge=0, strict=True, description="Smoothness.")
    content_distance: DistanceName = Field(
        default="squared_error", description="What the content loss takes of two activations."
    )
    style_distance: DistanceName = Field(
        default="squared_error", description="What the style loss takes of two Gram matrices."
    )
    charbonnier_epsilon: float = Field(
        default=1e-3, gt=0, strict=True, description="Where the Charbonnier distance bends."
    )
    style_size: int = Field(
        default=512,
        ge=32,
        strict=True,
        description="Short side of the painting in pixels: size of strokes.",
    )

    ema_decay: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        strict=True,
        description="What is kept at each iteration of the moving average of the weights, which is"
        " what is written; 0 for the weights as they are.",
    )

    @model_validator(mode="after")
    def _says_which_style_and_network(self) -> "TrainingRecipe":
        if (self.style_image is None) == (self.style_images is None):
            raise ValueError("give style_image or style_images, one of the two")
        if self.add_to is not None and {"network", "network_arguments"} & self.model_fields_set:
            raise ValueError("network and network_arguments are those of the checkpoint in add_to")
        if self.style_images is not None and self.add_to is None and self.network != "multi_style":
            raise ValueError(f"style_images needs network: multi_style, not {self.network}")
        if self.network not in STYLE_NETWORK_NAMES:
            raise ValueError(
                f"there is no style network {self.network!r}; there is"
                f" {', '.join(STYLE_NETWORK_NAMES)}"
            )
        return self

    @model_validator(mode="after")
    def _has_weights_for_its_loss_network(self) -> "TrainingRecipe":
        needed = {"content_weights", "style_weights", "total_variation_weight"}
        missing = sorted(needed - self.model_fields_set)
        if self.loss_network != "embedded" and missing:
            raise ValueError(
                f"{', '.join(missing)} must be given with loss_network {self.loss_network}: the"
                " defaults are for embedded, whose activations have another scale"
            )
        return self
