"""The config of the training of a network for any painting, and of what predicts its styles."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from stylebeam.transforms.training.loop_config import NetworkTrainingConfig


class NamedStyle(BaseModel):
    """A style that the checkpoint has by name, with facts about its painting."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    painting: str = Field(description="The painting's path in the folder paintings.")
    artist: str = Field(description="Who painted it.")
    title: str = Field(description="The painting's title.")
    year: str = Field(description="When it was painted.")
    source: str = Field(description="Where the picture is from, and its license.")
    weight: float = Field(
        default=1.0, gt=0, description="How often the style is trained, relative to other styles."
    )


class AnyStyleTrainingConfig(NetworkTrainingConfig):
    """Settings of a training of the network `any_style`, its predictor and its named styles."""

    paintings: Path = Field(
        description="A folder of paintings, searched recursively: the styles to learn from."
    )
    held_out_paintings: tuple[str, ...] = Field(
        default=(),
        description="Patterns of file names of paintings that are not trained on: at intervals,"
        " the loss on them is reported.",
    )
    held_out: tuple[str, ...] = Field(
        default=(), description="Patterns of file names of photos that are not trained on."
    )
    styles: dict[str, NamedStyle] = Field(
        default={}, description="The styles that the checkpoint has by name."
    )
    share_of_styles: float = Field(
        default=0.5,
        ge=0,
        le=1,
        strict=True,
        description="The part of all crops that train the named styles, rather than any painting.",
    )
    predictor: Path = Field(
        description="The file to write the predictor to, ending in .safetensors."
    )
    start: Path | None = Field(
        default=None,
        description="A checkpoint of network any_style or multi_style: the training continues from"
        " its weights instead of random ones.",
    )
    start_predictor: Path | None = Field(
        default=None, description="A predictor for the network of start, to continue from."
    )
    variants: int = Field(
        default=6,
        ge=1,
        strict=True,
        description="How many pictures are made of each painting: parts of it, in several sizes,"
        " some in the colors of other paintings.",
    )
    crop_size: int = Field(
        default=256, ge=64, strict=True, description="Side of a training crop in pixels."
    )
    learning_rate: float = Field(
        default=2e-3, gt=0, strict=True, description="Peak of the one-cycle schedule."
    )
    content_weight: float = Field(
        default=1.0, ge=0, strict=True, description="Weight of the content loss, in relu3_1."
    )
    style_weight: float = Field(
        default=8.0,
        ge=0,
        strict=True,
        description="Weight of the style loss, which is 1 for a photo as it is.",
    )
    color_weight: float = Field(
        default=40.0, ge=0, strict=True, description="Weight of the color loss."
    )
    total_variation_weight: float = Field(
        default=1.0, ge=0, strict=True, description="Weight of the total variation."
    )
    grid_weight: float = Field(default=1e4, ge=0, strict=True, description="As in a train config.")
    ema_decay: float = Field(
        default=0.998,
        ge=0,
        lt=1,
        strict=True,
        description="Decay of the exponential moving average of the weights, which is what is"
        " written.",
    )
