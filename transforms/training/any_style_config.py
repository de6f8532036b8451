"""The config of the training of a network for any painting, its predictor and named styles."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stylebeam.transforms.training.any_style_loss import LossWeights
from stylebeam.transforms.training.loop_config import NetworkTrainingConfig, check_writable

_DEFAULT = LossWeights()


class NamedStyle(BaseModel):
    """A style that the checkpoint has by name, with facts about its painting."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    painting: str = Field(description="The painting's path in the folder paintings.")
    artist: str = Field(description="The artist's name.")
    title: str = Field(description="The painting's title.")
    year: str = Field(description="When it was painted, in quotes.")
    source: str = Field(description="Where the image file is from, and its license.")
    weight: float = Field(
        default=1.0,
        gt=0,
        strict=True,
        description="How often the style is trained, relative to other named styles.",
    )


class AnyStyleTrainingConfig(NetworkTrainingConfig):
    """Settings of a training of the network `any_style`, its predictor and its named styles."""

    paintings: Path = Field(
        description="A folder of paintings, searched recursively: the styles to learn from."
    )
    held_out_paintings: tuple[str, ...] = Field(
        default=(),
        description="Patterns of file names, such as 01*.jpg, of paintings that are not trained"
        " on.",
    )
    held_out: tuple[str, ...] = Field(
        default=(),
        description="Patterns of file names of photos that are not trained on: the loss of held-out"
        " paintings on them is reported at intervals.",
    )
    styles: dict[str, NamedStyle] = Field(
        default={}, description="The styles that the checkpoint has by name."
    )
    share_of_styles: float = Field(
        default=0.5,
        ge=0,
        le=1,
        strict=True,
        description="The fraction of crops that train the named styles, rather than any painting.",
    )
    predictor: Path = Field(
        description="The second file to write, ending in .safetensors: the network that predicts"
        " the style of any painting."
    )
    start: Path | None = Field(
        default=None,
        description="A checkpoint of network any_style or multi_style: the training continues from"
        " its weights instead of random ones, and from its styles that have the same names.",
    )
    start_predictor: Path | None = Field(
        default=None,
        description="A predictor that was trained together with start, to continue from.",
    )
    variants: int = Field(
        default=6,
        ge=1,
        strict=True,
        description="How many pictures are made of each painting: the whole, and parts of it at"
        " several sizes, some in other colors.",
    )
    crop_size: int = Field(
        default=256, ge=64, strict=True, description="Side of a training crop in pixels."
    )
    content_weight: float = Field(
        default=_DEFAULT.content,
        ge=0,
        strict=True,
        description="Loss weight of the content, in relu3_1 and relu4_1.",
    )
    style_weight: float = Field(
        default=_DEFAULT.style,
        ge=0,
        strict=True,
        description="Weight of the style loss, which is about 1 for an unchanged photo.",
    )
    color_weight: float = Field(
        default=_DEFAULT.color,
        ge=0,
        strict=True,
        description="Weight of the color loss, which gives pictures the painting's lightness and"
        " palette.",
    )
    total_variation_weight: float = Field(
        default=_DEFAULT.total_variation,
        ge=0,
        strict=True,
        description="Loss weight of the total variation: a larger one makes smoother pictures.",
    )
    grid_weight: float = Field(
        default=_DEFAULT.grid,
        ge=0,
        strict=True,
        description="Weight of the grid loss, which suppresses the grid that upsampling would"
        " leave.",
    )
    ema_decay: float = Field(
        default=0.998,
        ge=0,
        lt=1,
        strict=True,
        description="Decay of the exponential moving average of the weights, which is what is"
        " written; 0 to write the weights of the last iteration.",
    )

    @property
    def loss_weights(self) -> LossWeights:
        """The weights of the terms of the loss."""
        return LossWeights(
            self.content_weight,
            self.style_weight,
            self.color_weight,
            self.total_variation_weight,
            self.grid_weight,
        )

    @model_validator(mode="after")
    def _check_start_and_styles(self) -> "AnyStyleTrainingConfig":
        if self.start_predictor is not None and self.start is None:
            raise ValueError("start_predictor needs start, the network that it was trained with")
        has_share = "share_of_styles" in self.model_fields_set and self.share_of_styles > 0
        if has_share and not self.styles:
            raise ValueError("share_of_styles needs styles")
        if self.predictor == self.output:
            raise ValueError("predictor and output must be two files")
        return self

    def check_output(self) -> None:
        """Check that both files can be written, before the training rather than after it.

        Raises:
            ConfigValueError: a file cannot be written.
        """
        super().check_output()
        check_writable("predictor", self.predictor)
