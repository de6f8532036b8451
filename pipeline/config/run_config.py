"""The config of a run, as types. `file.py` reads it from YAML."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, create_model, model_validator

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import exclusion
from stylebeam.pipeline.archive.records import GpsOption
from stylebeam.pipeline.archive.results import Overwrite
from stylebeam.pipeline.config.yaml_nodes import Location
from stylebeam.pipeline.methods import DEFAULT_METHOD, METHODS
from stylebeam.pipeline.methods.contract import MethodOptions, Strict
from stylebeam.pipeline.storage import DEFAULT_DEADLINE
from stylebeam.transforms.hardware.devices import DeviceName
from stylebeam.transforms.images.formats import (
    DEFAULT_MAX_PIXELS,
    DEFAULT_QUALITY,
    EXTENSION_OF_FORMAT,
)

if TYPE_CHECKING:  # Type checkers do not accept a computed Literal.
    OutputFormat = str
else:
    OutputFormat = Literal[("same", *EXTENSION_OF_FORMAT)]


def _normalized(value: str) -> str:
    """Write a location in one way, so that equal ones compare equal."""
    return storage.normalize(value)


def _excluding(value: str) -> str:
    """Check a glob that excludes a part of an input."""
    if mistake := exclusion.mistake_in(value):
        raise ValueError(mistake)
    return value


Folder = Annotated[str, Field(min_length=1), AfterValidator(_normalized)]
Excluded = Annotated[str, Field(min_length=1), AfterValidator(_excluding)]


class BatchBase(Strict):
    """A set of images and what to do with them, but for the options of the methods."""

    name: str = Field(min_length=1, description="Names the batch in reports.")
    input: Folder = Field(
        description="Folder (searched recursively), file, or glob; a path or URI."
    )
    output: Folder = Field(description="Folder that mirrors the input's tree; a path or URI.")
    format: OutputFormat = Field(
        default="same", description="File format of the outputs; same keeps each input's."
    )
    quality: int = Field(
        default=DEFAULT_QUALITY,
        ge=1,
        le=100,
        strict=True,
        description="Quality of JPEG and WebP outputs.",
    )
    gps: GpsOption = Field(
        default="keep",
        description="Whether outputs say where the photo was taken, if the photo does.",
    )
    overwrite: Overwrite = Field(
        default="changed",
        description="Which outputs that exist already are made again: those whose photo or recipe"
        " has changed, all, or none. changed leaves alone what no run has written.",
    )
    exclude: tuple[Excluded, ...] = Field(
        default=(),
        description="Globs of files and folders to leave out, relative to the input: * stays in a"
        " folder, ** does not, and **/drafts is a folder drafts at any depth.",
    )
    keep_times: bool = Field(
        default=False,
        strict=True,
        description="Whether an output that is written gets the time of last change of its photo,"
        " on the local disk.",
    )
    method: str = Field(default=DEFAULT_METHOD, description="How images are stylized.")

    @property
    def sections(self) -> Mapping[str, MethodOptions | None]:
        """The options of each method, by its name; None where the batch has none."""
        return {name: getattr(self, name) for name in METHODS}

    @property
    def options(self) -> MethodOptions:
        """The options of the batch's method."""
        options = self.sections[self.method]
        assert options is not None, "_has_the_options_that_it_uses has checked it"
        return options

    @model_validator(mode="after")
    def _has_the_options_that_it_uses(self) -> "BatchBase":
        sections = self.sections
        options = sections[self.method]
        if options is None:
            raise ValueError(
                f"method: {self.method} needs options, as in"
                f" {self.method}: {METHODS[self.method].example}"
            )
        for name, reason in options.also_uses.items():
            if sections[name] is None:
                raise ValueError(f"{reason} needs options, as in {name}: {METHODS[name].example}")
        return self


def _section(name: str, options: type[MethodOptions]) -> Any:
    """Return the field of a batch that holds the options of a method."""
    may_be_empty = options.may_be_empty()
    return (
        options if may_be_empty else (options | None),
        Field(
            default=options() if may_be_empty else None, description=f"Options of method: {name}."
        ),
    )


if TYPE_CHECKING:
    Batch = BatchBase
else:
    Batch = create_model(
        "Batch",
        __base__=BatchBase,
        __doc__="A set of images and what to do with them.",
        method=(Literal[tuple(METHODS)], BatchBase.model_fields["method"]),
        **{name: _section(name, options) for name, options in METHODS.items()},
    )


class RunOptions(Strict):
    """Options of the run as a whole."""

    device: DeviceName = Field(default="auto", description="auto takes the GPU if there is one.")
    max_pixels: int = Field(
        default=DEFAULT_MAX_PIXELS,
        ge=1,
        strict=True,
        description="Images with more pixels, or enlarged to more, fail.",
    )
    memory: float | None = Field(
        default=None,
        gt=0,
        strict=True,
        description="Gigabytes that photos may take in each worker process, with one photo on every"
        " core. Fast networks stylize larger photos in tiles; fewer photos are optimized at once."
        " By default half of the memory of the machine, or of the GPU, shared among its processes.",
    )
    max_failures: float | None = Field(
        default=None,
        ge=0,
        strict=True,
        description="Stop the run once more images have failed than this: a count or, below 1, a"
        " fraction of all images.",
    )
    storage_deadline: float = Field(
        default=DEFAULT_DEADLINE,
        gt=0,
        strict=True,
        description="Seconds within which each read, each write and each thousand files of a"
        " listing in a bucket must be done, however often it is tried.",
    )

    image_deadline: float | None = Field(
        default=None,
        gt=0,
        strict=True,
        description="Seconds of work after which an image is given up and fails, from reading to"
        " writing. By default it is given up after 2 minutes without progress, and one more for"
        " each megapixel.",
    )

    @property
    def memory_in_bytes(self) -> int | None:
        """The bytes that photos may take; None for the default."""
        return None if self.memory is None else int(self.memory * 1e9)

    def most_failures(self, images: int) -> int | None:
        """Return how many failures the run survives; None for any number.

        Args:
            images: how many the run has.
        """
        if self.max_failures is None:
            return None
        return int(self.max_failures * images if self.max_failures < 1 else self.max_failures)


class RunConfig(Strict):
    """The config of `stylebeam run`. Its file may also hold `defaults:` for every batch."""

    batches: tuple[Batch, ...] = Field(description="The batches of the run.")
    run: RunOptions = Field(default=RunOptions(), description="Options of the run as a whole.")

    def mistakes(self) -> Iterator[tuple[Location, str]]:
        """Yield what is wrong between batches that are each valid."""
        if not self.batches:
            yield ("batches",), "there must be at least one batch"
        first = {batch.name: position for position, batch in reversed([*enumerate(self.batches)])}
        for position, batch in enumerate(self.batches):
            for location in (batch.input, batch.output) if batch.keep_times else ():
                if storage.is_remote(location):
                    yield (
                        ("batches", position, "keep_times"),
                        f"{location} is not on the local disk; only files there can keep their"
                        " times",
                    )
            if first[batch.name] != position:
                yield (
                    ("batches", position, "name"),
                    f"another batch is named {batch.name}; give each a name of its own",
                )
