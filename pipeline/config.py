"""The config of a run, as types. `config_file.py` reads it from YAML."""

import os
import posixpath
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline import inputs, storage
from pipeline.records import Method
from pipeline.styles import Choice, choose, choose_super_resolution
from pipeline.yaml_nodes import Location
from transforms.devices import DeviceName
from transforms.image_io import DEFAULT_MAX_PIXELS, DEFAULT_QUALITY

OutputFormat = Literal["same", "jpeg", "png", "webp", "tiff"]
BUILT_METHODS = ("fast", "super_resolution")


def _normalized(value: str) -> str:
    """Write a location in one way, so that equal ones compare equal."""
    if mistake := storage.mistake_in(value):
        raise ValueError(mistake)
    if storage.is_remote(value):
        scheme, _, path = value.partition("://")
        return f"{scheme}://{path.rstrip('/')}"
    return posixpath.normpath(os.path.expanduser(value))


def _built(method: str) -> str:
    if method not in BUILT_METHODS:
        raise ValueError(f"{method} is not built yet; there is {', '.join(BUILT_METHODS)}")
    return method


def _listable(location: str) -> str:
    if mistake := inputs.mistake_in(location):
        raise ValueError(mistake)
    return location


def _no_file(location: str) -> str:
    if not storage.is_remote(location) and os.path.isfile(location):
        raise ValueError(f"{location} is a file, not a folder")
    return location


def _parts(style: Any) -> Any:
    """Make a style that stands alone the one of which the result consists."""
    return {style: 1.0} if isinstance(style, str) else style


Folder = Annotated[str, Field(min_length=1), AfterValidator(_normalized)]
Input = Annotated[Folder, AfterValidator(_listable)]
Output = Annotated[Folder, AfterValidator(_no_file)]
BuiltMethod = Annotated[Method, AfterValidator(_built)]
Part = Annotated[float, Field(ge=0, strict=True)]
Style = Annotated[dict[str, Part], BeforeValidator(_parts)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FastOptions(_Strict):
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
        return choose(self.style, self.checkpoint)._replace(strength=self.strength)

    def __str__(self) -> str:
        """Name the style, or the styles and how much of each."""
        if len(self.style) == 1:
            return next(iter(self.style))
        return " + ".join(f"{part:g} {name}" for name, part in self.style.items())


class SuperResolutionOptions(_Strict):
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


class Batch(_Strict):
    """A set of images and what to do with them."""

    name: str = Field(min_length=1, description="Names the batch in reports.")
    input: Input = Field(description="Folder (searched recursively), file, or glob; a path or URI.")
    output: Output = Field(description="Folder that mirrors the input's tree; a path or URI.")
    method: BuiltMethod = Field(default="fast", description="How images are stylised.")
    fast: FastOptions | None = Field(default=None, description="Options of method: fast.")
    gatys: dict[str, Any] | None = Field(default=None, description="Not built yet.")
    super_resolution: SuperResolutionOptions = Field(
        default=SuperResolutionOptions(), description="Options of method: super_resolution."
    )
    format: OutputFormat = Field(
        default="same", description="File format of the outputs; same keeps each input's."
    )
    quality: int = Field(
        default=DEFAULT_QUALITY, ge=1, le=100, strict=True, description="Of JPEG and WebP outputs."
    )

    @property
    def options(self) -> FastOptions | SuperResolutionOptions:
        """The options of the batch's method."""
        if self.method == "super_resolution":
            return self.super_resolution
        assert self.fast is not None, "_fast_has_a_style sees to it"
        return self.fast

    @model_validator(mode="after")
    def _fast_has_a_style(self) -> "Batch":
        if self.method == "fast" and self.fast is None:
            raise ValueError("method: fast needs a style, as in fast: {style: starry_night}")
        return self


class RunOptions(_Strict):
    """What holds for the whole run."""

    device: DeviceName = Field(default="auto", description="auto takes the GPU if there is one.")
    max_pixels: int = Field(
        default=DEFAULT_MAX_PIXELS,
        ge=1,
        strict=True,
        description="Images of more pixels, or to be enlarged to more, fail.",
    )


class RunConfig(_Strict):
    """The config of `stylebeam run`. Its file may also hold `defaults:` for every batch."""

    batches: tuple[Batch, ...] = Field(description="The batches of the run.")
    run: RunOptions = Field(default=RunOptions(), description="Options of the run as a whole.")

    def mistakes(self) -> Iterator[tuple[Location, str]]:
        """Yield what is wrong between batches that are right each by itself."""
        if not self.batches:
            yield ("batches",), "there must be at least one batch"
        first = {batch.name: position for position, batch in reversed([*enumerate(self.batches)])}
        for position, batch in enumerate(self.batches):
            if first[batch.name] != position:
                yield ("batches", position, "name"), f"another batch is named {batch.name}"
            for other in self.batches:
                if inputs.includes(batch.input, other.output):
                    yield (
                        ("batches", position, "input"),
                        f"{batch.input} includes {other.output}, where batch {other.name} writes;"
                        " write to a folder outside the input, so that nothing is overwritten and"
                        " no result is stylised again",
                    )
