"""The config of a style network's training."""

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from stylebeam.transforms.networks import MANY_STYLES, STYLE_NETWORK_NAMES
from stylebeam.transforms.training.loop_config import NetworkTrainingConfig
from stylebeam.transforms.training.optimizers import OptimizerName
from stylebeam.transforms.training.perceptual_config import PerceptualLossConfig

_LEARNING_RATE_OF_VECTORS = 5e-2


class StyleTrainingConfig(NetworkTrainingConfig, PerceptualLossConfig):
    """Settings of a training of a style network, or of a style that is added to one."""

    style_image: Path | None = Field(default=None, description="The painting.")
    style_images: Path | None = Field(
        default=None,
        description="A folder of paintings, instead of style_image, for network: multi_style or"
        " any_style.",
    )
    held_out: tuple[str, ...] = Field(
        default=(),
        description="Patterns of file names, such as 01*.jpg, of photos that are not trained on:"
        " the loss on them is reported at intervals.",
    )
    start: Path | None = Field(
        default=None,
        description="A checkpoint of the same network: the training continues from its weights and"
        " styles instead of random ones.",
    )
    add_to: Path | None = Field(
        default=None,
        description="A checkpoint of network multi_style or any_style, to which the painting is"
        " added: only its vector is trained, by default with learning_rate: 0.05, and nothing else"
        " in the checkpoint changes.",
    )
    grid_weight: float = Field(
        default=1e4,
        ge=0,
        strict=True,
        description="Weight of the grid loss, which suppresses the grid that upsampling would"
        " leave.",
    )
    color_weight: float = Field(
        default=20.0,
        ge=0,
        strict=True,
        description="Weight of the color loss, which gives pictures the painting's lightness and"
        " palette.",
    )
    learning_rate: float = Field(
        default=5e-3, gt=0, strict=True, description="Peak of the one-cycle schedule."
    )
    vectors_learning_rate: float | None = Field(
        default=None,
        gt=0,
        strict=True,
        description="Peak of the schedule for the style vectors; null for learning_rate.",
    )
    optimizer: OptimizerName = Field(
        default="muon",
        description="The optimizer of the network's weights. Style vectors are trained with Adam.",
    )
    network: str = Field(default="multi_style", description="The network to train.")
    network_arguments: dict[str, int | str] = Field(
        default={},
        description="Arguments that the network is built with, such as {channels: 48}.",
    )

    @model_validator(mode="before")
    @classmethod
    def _set_learning_rate_of_vectors(cls, given: Any) -> Any:
        """A vector alone needs larger steps than weights, and cannot damage the network."""
        if isinstance(given, dict) and given.get("add_to") is not None:
            return {"learning_rate": _LEARNING_RATE_OF_VECTORS, **given}
        return given

    @model_validator(mode="after")
    def _check_style_and_network(self) -> "StyleTrainingConfig":
        if (self.style_image is None) == (self.style_images is None):
            raise ValueError("give either style_image or style_images")
        if self.add_to is not None and {"network", "network_arguments"} & self.model_fields_set:
            raise ValueError(
                "network and network_arguments cannot be given with add_to: the checkpoint has its"
                " own"
            )
        if self.add_to is not None and self.start is not None:
            raise ValueError("give add_to or start, not both: add_to does not train the network")
        has_many = self.add_to is not None or self.network in MANY_STYLES
        if self.style_images is not None and not has_many:
            raise ValueError(
                f"style_images needs network: {' or '.join(MANY_STYLES)}, not {self.network}"
            )
        if self.network not in STYLE_NETWORK_NAMES:
            raise ValueError(
                f"there is no style network {self.network!r}; the style networks are"
                f" {', '.join(STYLE_NETWORK_NAMES)}"
            )
        return self
