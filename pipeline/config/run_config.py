"""The config of a run, as types. `config_file.py` reads it from YAML."""

import os
import posixpath
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.records import GpsOption, Method
from stylebeam.pipeline.archive.results import Overwrite
from stylebeam.pipeline.config.yaml_nodes import Location
from stylebeam.pipeline.methods.options import (
    FastOptions,
    GatysOptions,
    Strict,
    SuperResolutionOptions,
)
from stylebeam.pipeline.storage import DEFAULT_DEADLINE
from stylebeam.transforms.hardware.devices import DeviceName
from stylebeam.transforms.images.io import DEFAULT_MAX_PIXELS, DEFAULT_QUALITY

OutputFormat = Literal["same", "jpeg", "png", "webp", "tiff"]


def _normalized(value: str) -> str:
    """Write a location in one way, so that equal ones compare equal."""
    if storage.is_remote(value):
        scheme, _, path = value.partition("://")
        return f"{scheme}://{path.rstrip('/')}"
    return posixpath.normpath(os.path.expanduser(value))


Folder = Annotated[str, Field(min_length=1), AfterValidator(_normalized)]


class Batch(Strict):
    """A set of images and what to do with them."""

    name: str = Field(min_length=1, description="Names the batch in reports.")
    input: Folder = Field(
        description="Folder (searched recursively), file, or glob; a path or URI."
    )
    output: Folder = Field(description="Folder that mirrors the input's tree; a path or URI.")
    method: Method = Field(default="fast", description="How images are stylised.")
    fast: FastOptions | None = Field(default=None, description="Options of method: fast.")
    gatys: GatysOptions | None = Field(default=None, description="Options of method: gatys.")
    super_resolution: SuperResolutionOptions = Field(
        default=SuperResolutionOptions(), description="Options of method: super_resolution."
    )
    format: OutputFormat = Field(
        default="same", description="File format of the outputs; same keeps each input's."
    )
    quality: int = Field(
        default=DEFAULT_QUALITY, ge=1, le=100, strict=True, description="Of JPEG and WebP outputs."
    )
    gps: GpsOption = Field(
        default="keep", description="Whether outputs say where the photo was taken, if it does."
    )
    overwrite: Overwrite = Field(
        default="changed",
        description="Which outputs that are there already are made anew: those whose photo or"
        " recipe has changed, all, or none. changed leaves alone what no run has written.",
    )

    @property
    def options(self) -> FastOptions | GatysOptions | SuperResolutionOptions:
        """The options of the batch's method."""
        options = getattr(self, self.method)
        assert options is not None, "_has_the_options_of_its_method sees to it"
        return options

    @model_validator(mode="after")
    def _has_the_options_of_its_method(self) -> "Batch":
        if self.method == "fast" and self.fast is None:
            raise ValueError("method: fast needs a style, as in fast: {style: starry_night}")
        if self.method == "gatys":
            if self.gatys is None:
                raise ValueError(
                    "method: gatys needs a painting, as in gatys: {style_image: painting.jpg}"
                )
            if self.gatys.init == "fast" and self.fast is None:
                raise ValueError(
                    "init: fast needs a style to begin with, as in fast: {style: starry_night}"
                )
        return self


class RunOptions(Strict):
    """What holds for the whole run."""

    device: DeviceName = Field(default="auto", description="auto takes the GPU if there is one.")
    max_pixels: int = Field(
        default=DEFAULT_MAX_PIXELS,
        ge=1,
        strict=True,
        description="Images of more pixels, or to be enlarged to more, fail.",
    )
    memory: float | None = Field(
        default=None,
        gt=0,
        strict=True,
        description="Gigabytes that photos may take in each worker process, one on every core at"
        " once; fast networks stylise those that are too large for that in tiles, and fewer are"
        " optimised at once. By default half of the machine's, or the GPU's, shared among its"
        " processes.",
    )
    max_failures: float | None = Field(
        default=None,
        ge=0,
        strict=True,
        description="Stop the run once more images have failed: a count, or below 1 a part of all.",
    )
    storage_deadline: float = Field(
        default=DEFAULT_DEADLINE,
        gt=0,
        strict=True,
        description="Seconds for which a bucket that is too busy is asked again.",
    )

    @property
    def memory_in_bytes(self) -> int | None:
        """The bytes that photos may take; None for the default."""
        return None if self.memory is None else int(self.memory * 1e9)

    def most_failures(self, images: int) -> int | None:
        """Return after how many failures to go on yet; None for any number.

        Args:
            images: of the run.
        """
        if self.max_failures is None:
            return None
        return int(self.max_failures * images if self.max_failures < 1 else self.max_failures)


class RunConfig(Strict):
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
                yield (
                    ("batches", position, "name"),
                    f"another batch is named {batch.name}; give each a name of its own",
                )
