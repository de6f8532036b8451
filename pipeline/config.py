"""The config of a run, as types. `config_file.py` reads it from YAML."""

import posixpath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from pipeline import storage
from transforms.devices import DeviceName

OutputFormat = Literal["same", "jpeg", "png", "webp", "tiff"]
BUILT_METHODS = ("fast",)


def _location(value: str) -> str:
    """Write a location in one way, so that equal ones compare equal."""
    if storage.is_remote(value):
        scheme, _, path = value.partition("://")
        return f"{scheme}://{path.rstrip('/')}"
    return posixpath.normpath(value)


def _built(method: str) -> str:
    if method not in BUILT_METHODS:
        raise ValueError(f"method: {method} is not built yet; there is {', '.join(BUILT_METHODS)}")
    return method


Location = Annotated[str, Field(min_length=1), AfterValidator(_location)]
Method = Annotated[Literal["fast", "gatys", "super_resolution"], AfterValidator(_built)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FastOptions(_Strict):
    """Options of the fast feed-forward network."""

    style: str = Field(
        min_length=1,
        description="A shipped style's name, or the path or URI of a .safetensors checkpoint.",
    )
    strength: float = Field(
        default=1.0, ge=0, le=1, description="From 0, the photo, to 1, the stylised image."
    )


class Batch(_Strict):
    """A set of images and what to do with them."""

    name: str = Field(pattern=r"^[\w.-]+$", description="Names the batch in reports.")
    input: Location = Field(
        description="Folder (searched recursively), file, or glob; a path or URI."
    )
    output: Location = Field(description="Folder that mirrors the input's tree; a path or URI.")
    method: Method = Field(default="fast", description="How images are stylised.")
    fast: FastOptions | None = Field(default=None, description="Options of method: fast.")
    gatys: dict[str, Any] | None = Field(default=None, description="Not built yet.")
    super_resolution: dict[str, Any] | None = Field(default=None, description="Not built yet.")
    format: OutputFormat = Field(
        default="same", description="File format of the outputs; same keeps each input's."
    )
    quality: int = Field(default=92, ge=1, le=100, description="Of JPEG and WebP outputs.")

    @model_validator(mode="after")
    def _method_has_options(self) -> "Batch":
        if self.method == "fast" and self.fast is None:
            raise ValueError("method: fast needs a style, as in fast: {style: starry_night}")
        return self


class RunOptions(_Strict):
    """What holds for the whole run."""

    device: DeviceName = Field(default="auto", description="auto takes the GPU if there is one.")
    max_pixels: int = Field(
        default=200_000_000, ge=1, description="Images of more pixels fail before decoding."
    )


class RunConfig(_Strict):
    """The config of `stylebeam run`. Its file may also hold `defaults:` for every batch."""

    batches: tuple[Batch, ...] = Field(min_length=1, description="The batches of the run.")
    run: RunOptions = Field(default=RunOptions(), description="Options of the run as a whole.")

    @model_validator(mode="after")
    def _names_differ(self) -> "RunConfig":
        names = [batch.name for batch in self.batches]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two batches are named {name}")
        return self
