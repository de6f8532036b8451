"""The options of each method, as types of the config."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from stylebeam.pipeline.methods.styles import Choice, choose
from stylebeam.transforms.gatys.recipe import PRESETS, GatysRecipe, PresetName
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

    def choose(self, find: Callable[[Parts, str | None], Choice] = choose) -> Choice:
        """Find the style.

        Args:
            find: finds the checkpoint that holds the style.

        Raises:
            StyleError: there is no such style, or its checkpoint cannot be read or used.
        """
        return find(self.style, self.checkpoint)._replace(
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

    def __str__(self) -> str:
        """Name the network."""
        return self.checkpoint


class GatysOptions(GatysRecipe):
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

    @model_validator(mode="after")
    def _weights_have_a_use(self) -> "GatysOptions":
        if self.weights is not None and self.networks == ("embedded",):
            raise ValueError("weights: are those of VGG, and loss_network: embedded has its own")
        return self

    @property
    def plain(self) -> GatysRecipe:
        """These options without the paintings and what else does not belong to a recipe."""
        return GatysRecipe(**{name: getattr(self, name) for name in GatysRecipe.model_fields})

    def __str__(self) -> str:
        """Name the recipe and the paintings."""
        return f"{self.recipe} {_blended(self.style_image)}"
