"""The config of an evaluation."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from stylebeam.transforms.hardware.devices import DeviceName
from stylebeam.transforms.losses.loss_network import LossNetworkName
from stylebeam.transforms.training.perceptual_config import PerceptualLossConfig


class EvaluationConfig(PerceptualLossConfig):
    """Everything that decides an evaluation."""

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "optimisation_iterations": "optimization_iterations"
    }

    checkpoints: tuple[Path, ...] = Field(
        default=(), description="Checkpoints, of styles or of super-resolution."
    )
    pictures: dict[str, Path] = Field(
        default={},
        description="Folders of pictures made by other programs, by the program's name. Files are"
        " named PHOTO__PAINTING.jpg, with the names of an image in content_images and of one in"
        " style_images, both without their extensions.",
    )
    content_images: Path = Field(
        description="A folder of photos that no checkpoint was trained on, searched recursively."
    )
    style_images: Path | None = Field(
        default=None,
        description="A folder with the paintings of the styles, named as when they were trained;"
        " searched recursively.",
    )
    also_measure_by: tuple[LossNetworkName, ...] = Field(
        default=(),
        description="Other loss networks that measure how much of the style is left, with the"
        " same style_weights.",
    )
    output: Path = Field(description="A folder for the tables and the pictures.")
    size: int | None = Field(
        default=512,
        ge=64,
        strict=True,
        description="Short side of the photos in pixels; null leaves each at its own size.",
    )
    optimization_iterations: int = Field(
        default=0,
        ge=0,
        strict=True,
        description="For comparison, optimize each photo itself towards each painting for this many"
        " iterations (Gatys et al. 2016); 0 for not at all.",
    )
    device: DeviceName = Field(default="auto", description="Where to compute.")
