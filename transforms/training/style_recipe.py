"""The recipe of a style network's training: everything that decides what comes of it."""

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from stylebeam.transforms.networks import STYLE_NETWORK_NAMES
from stylebeam.transforms.training.loop_recipe import NetworkRecipe
from stylebeam.transforms.training.optimizers import OptimizerName
from stylebeam.transforms.training.perceptual_config import PerceptualLossConfig

_RATE_OF_VECTORS = 5e-2


class TrainingRecipe(NetworkRecipe, PerceptualLossConfig):
    """Everything that decides what a training makes: a network, or a style for one."""

    style_image: Path | None = Field(default=None, description="The painting.")
    style_images: Path | None = Field(
        default=None, description="Instead of one, a folder of paintings for network: multi_style."
    )
    held_out: tuple[str, ...] = Field(
        default=(),
        description="Patterns of names, such as 01*.jpg, of photographs to judge by now and then,"
        " and not to learn from.",
    )
    start: Path | None = Field(
        default=None,
        description="A checkpoint of the same network, whose weights and styles the training goes"
        " on from, instead of random ones.",
    )
    add_to: Path | None = Field(
        default=None,
        description="A checkpoint of network multi_style, to which the painting is added: its"
        " vector alone is trained, by default with learning_rate: 0.05, and nothing else in the"
        " checkpoint changes.",
    )
    grid_weight: float = Field(
        default=1e4,
        ge=0,
        strict=True,
        description="Weight of the loss of a grid, which upsampling would leave.",
    )
    learning_rate: float = Field(
        default=5e-3, gt=0, strict=True, description="Peak of the one-cycle schedule."
    )
    optimizer: OptimizerName = Field(
        default="muon", description="What moves the network's weights; style vectors: always Adam."
    )
    network: str = Field(default="johnson", description="The network to train.")
    network_arguments: dict[str, int | str] = Field(
        default={}, description="What it is built with, such as {upsampling: transposed}."
    )

    @model_validator(mode="before")
    @classmethod
    def _vectors_learn_faster(cls, given: Any) -> Any:
        """A vector alone has farther to go than the weights, and cannot spoil what they know."""
        if isinstance(given, dict) and given.get("add_to") is not None:
            return {"learning_rate": _RATE_OF_VECTORS, **given}
        return given

    @model_validator(mode="after")
    def _says_which_style_and_network(self) -> "TrainingRecipe":
        if (self.style_image is None) == (self.style_images is None):
            raise ValueError("give style_image or style_images, one of the two")
        if self.add_to is not None and {"network", "network_arguments"} & self.model_fields_set:
            raise ValueError("network and network_arguments are those of the checkpoint in add_to")
        if self.add_to is not None and self.start is not None:
            raise ValueError("give add_to or start, not both: add_to leaves the network as it is")
        if self.style_images is not None and self.add_to is None and self.network != "multi_style":
            raise ValueError(f"style_images needs network: multi_style, not {self.network}")
        if self.network not in STYLE_NETWORK_NAMES:
            raise ValueError(
                f"there is no style network {self.network!r}; there is"
                f" {', '.join(STYLE_NETWORK_NAMES)}"
            )
        return self
