"""The small immutable values that flow between the steps of the pipeline."""

import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass
from typing import Literal, get_args

from stylebeam.pipeline.methods.paintings import GatysChoice
from stylebeam.pipeline.methods.styles import Choice
from stylebeam.transforms.images.formats import ImageFormat

Status = Literal["done", "skipped", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)
Method = Literal["fast", "gatys", "super_resolution"]
GpsOption = Literal["keep", "drop"]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides an output's bytes, the input apart.

    Attributes:
        method: how images are stylised.
        choice: with which network and which of the method's options.
        format: the output's file format.
        quality: of JPEG and WebP, from 1 to 100.
        gps: whether the place in a photo's metadata is kept.
    """

    method: Method
    choice: Choice | GatysChoice
    format: ImageFormat
    quality: int
    gps: GpsOption = "keep"

    @functools.cached_property
    def digest(self) -> str:
        """A stable name for this recipe: equal digests mean equal outputs of equal inputs."""
        values = {
            "method": self.method,
            **self.choice.identity,
            "format": self.format,
            "quality": self.quality,
            "gps": self.gps,
        }
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input.

    Attributes:
        batch: the batch's name in the config.
        input: the input's path or URI.
        output: the path or URI that was written, or would have been; "" if there is none.
        status: `done`, `skipped` or `failed`.
        recipe: the digest of the recipe.
        seconds: time spent on this image by the worker, from reading to writing.
        width: of the output, in pixels; None if the image was not decoded.
        height: likewise.
        error: why it failed, or was left out, a sentence; None if it did not.
        stamp: of the input's contents and the recipe, as `results.stamp` makes it.
    """

    batch: str
    input: str
    output: str
    status: Status
    recipe: str
    seconds: float
    width: int | None = None
    height: int | None = None
    error: str | None = None
    stamp: str | None = None

    @property
    def reason_left_out(self) -> str | None:
        """Why a run that was stopped had not begun with it; None if it had, or had no need to."""
        return self.error if self.status == "skipped" else None

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Outcome":
        """Return the outcome in a line that `to_json` made."""
        return cls(**json.loads(line))


@dataclass(frozen=True, slots=True)
class Task:
    """One image to stylise.

    Attributes:
        batch: the batch's name in the config.
        input: path or URI to read.
        output: path or URI to write.
        recipe: what to do.
        folder: of the batch's outputs.
        stamp: of the input's contents and the recipe, as `results.stamp` makes it.
        replaces: the version of the output that is there already, "" if there is none.
    """

    batch: str
    input: str
    output: str
    recipe: Recipe
    folder: str
    stamp: str
    replaces: str = ""

    def outcome(
        self,
        status: Status,
        seconds: float,
        size: tuple[int, int] | None = None,
        error: str | None = None,
    ) -> Outcome:
        """Return the outcome of this task; `size` is width and height in pixels."""
        width, height = size or (None, None)
        return Outcome(
            batch=self.batch,
            input=self.input,
            output=self.output,
            status=status,
            recipe=self.recipe.digest,
            seconds=round(seconds, 3),
            width=width,
            height=height,
            error=error,
            stamp=self.stamp,
        )
