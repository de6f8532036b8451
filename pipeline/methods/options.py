"""The options of each method, as types of the config."""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from stylebeam.pipeline.methods.paintings import GatysChoice, choose_loss_networks, choose_paintings
from stylebeam.pipeline.methods.styles import Choice, choose, choose_super_resolution
from stylebeam.transforms.gatys.settings import PRESETS, OptimizationSettings, PresetName
from stylebeam.transforms.inference.tiling import Statistics


def _parts(style: Any) -> Any:
    """Make a name that stands alone the one of which the style consists."""
    if not isinstance(style, str | dict):
        raise ValueError("must be a name or, of several, their parts, as in {one: 0.3, two: 0.7}")
    return {style: 1.0} if isinstance(style, str) else style


Part = Annotated[float, Field(ge=0, strict=True)]
Parts = dict[str, Part]
Style = Annotated[Parts, BeforeValidator(_parts, json_schema_input_type=str | Parts)]


class Strict(BaseModel):
    """A part of a config: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _blended(style: dict[str, float]) -> str:
    """Name a style, or styles and how much of each."""
    if len(style) == 1:
        return next(iter(style))
    return " + ".join(f"{part:g} {name}" for name, part in style.items())


class FastOptions(Strict):
    """Options of the fast feed-forward network."""

    checkpoint: str | None = Field(
        default=None,
        min_length=1,
        description="The path or URI of a checkpoint that holds several styles.",
    )
    style: Style = Field(
        description="A style's name, or several with their parts: {starry_night: 0.3, udnie: 0.7}."
        " They are shipped styles, or those in checkpoint; or, instead of a name, the path or URI"
        " of a .safetensors checkpoint of one style."
    )
    strength: float = Field(
        default=1.0,
        ge=0,
        le=1,
        strict=True,
        description="From 0, the photo, to 1, the stylised image.",
    )
    processing_size: int | None = Field(
        default=None,
        ge=64,
        strict=True,
        description="Short side in pixels at which larger photos are stylised, so that strokes have"
        " the size that they have in photos of that size; the result gets the photo's size and its"
        " fine detail. null for the photo's own.",
    )
    statistics: Statistics = Field(
        default="exact",
        description="By which features are normalised: those of the whole photo, or of a thumbnail,"
        " which takes the least memory, for photos of hundreds of megapixels.",
    )

    @field_validator("style")
    @classmethod
    def _usable(cls, style: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        if "checkpoint" in info.data:  # Else it is mistaken, and has been said to be.
            choose(style, info.data["checkpoint"])
        return style

    def choose(self) -> Choice:
        """Find the style.

        Raises:
            StyleError: it is not there any more.
        """
        return choose(self.style, self.checkpoint)._replace(
            strength=self.strength,
            processing_size=self.processing_size,
            statistics=self.statistics,
        )

    def __str__(self) -> str:
        """Name the style, or the styles and how much of each."""
        return _blended(self.style)


class SuperResolutionOptions(Strict):
    """Options of super-resolution."""

    checkpoint: str = Field(
        default="x4_pixel",
        min_length=1,
        description="A shipped network, or the path or URI of a .safetensors checkpoint.",
    )

    @field_validator("checkpoint")
    @classmethod
    def _usable(cls, checkpoint: str) -> str:
        choose_super_resolution(checkpoint)
        return checkpoint

    def choose(self) -> Choice:
        """Find the network.

        Raises:
            StyleError: it is not there any more.
        """
        return choose_super_resolution(self.checkpoint)

    def __str__(self) -> str:
        """Name the network."""
        return self.checkpoint


class GatysOptions(OptimizationSettings):
    """Options of the optimisation: a recipe by name, and what is to be other than it says."""

    recipe: PresetName = Field(
        default="default", description="Gives every option that is not given here its value."
    )
    style_image: Style = Field(
        description="The path or URI of a painting, or several with their parts:"
        " {one.jpg: 0.3, other.jpg: 0.7}."
    )
    weights: str | None = Field(
        default=None,
        min_length=1,
        description="The path or URI of a file with VGG's weights; by default torch.hub's, which"
        " are downloaded once.",
    )
    batch_size: int = Field(
        default=1,
        ge=1,
        strict=True,
        description="Photos of one size that are optimised at once; results do not depend on it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _of_the_recipe(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        name = values.get("recipe", "default")
        preset = PRESETS.get(name, {}) if isinstance(name, str) else {}
        return {**preset, **values}

    @field_validator("style_image")
    @classmethod
    def _readable(cls, style_image: dict[str, float]) -> dict[str, float]:
        choose_paintings(style_image)
        return style_image

    @model_validator(mode="after")
    def _weights_have_a_use(self) -> "GatysOptions":
        if self.weights is not None and self.networks == ("embedded",):
            raise ValueError("weights: are those of VGG, and loss_network: embedded has its own")
        return self

    def choose(self, fast: FastOptions | None) -> GatysChoice:
        """Find the paintings and the loss networks.

        Args:
            fast: the batch's, of use if the recipe begins with a fast network.

        Raises:
            StyleError: a painting or the fast network is not there any more.
            WeightsUnavailableError: a loss network's weights are not to be had.
        """
        values = {name: getattr(self, name) for name in OptimizationSettings.model_fields}
        recipe = OptimizationSettings(**values)
        return GatysChoice(
            recipe=recipe,
            paintings=choose_paintings(self.style_image),
            loss_networks=choose_loss_networks(recipe, self.weights),
            fast=fast.choose() if fast and self.init == "fast" else None,
            batch_size=self.batch_size,
        )

    def __str__(self) -> str:
        """Name the recipe and the paintings."""
        return f"{self.recipe} {_blended(self.style_image)}"
