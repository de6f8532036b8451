"""Recipe, task and outcome: the small immutable values that flow between the steps of a run."""

import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass
from typing import Literal, get_args

from stylebeam.pipeline.methods.contract import Resolved

Status = Literal["done", "skipped", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)
GpsOption = Literal["keep", "drop"]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides an output's bytes beside its input.

    Attributes:
        method: the method's name.
        options: the method's options, whose files are known by their contents.
        format: the output's file format.
        quality: of lossy formats, from 1 to 100.
        gps: whether the output says where the photo was taken.
    """

    method: str
    options: Resolved
    format: str
    quality: int
    gps: GpsOption = "keep"

    @functools.cached_property
    def digest(self) -> str:
        """A stable name of this recipe: equal digests mean equal outputs for equal inputs."""
        values = {
            "method": self.method,
            **self.options.identity,
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
        input: the input's path or URI; that of a folder if the folder cannot be listed.
        output: the path or URI that was written, or would have been; "" if there is none.
        status: `done`, `skipped` or `failed`.
        recipe: the digest of the recipe; "" for a folder.
        seconds: time that the worker spent on this image, from reading to writing.
        width: of the output, in pixels; None if the image was not decoded.
        height: likewise.
        error: a sentence that says why it failed or was not started; None if it did not fail.
        stamp: the digest of the input and the recipe, from `results.stamp`.
        style: the styles or paintings of the recipe, as `Resolved.style`.
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
    style: str = ""

    @property
    def reason_not_started(self) -> str | None:
        """Why a run that was stopped had not started it; None if it had, or need not."""
        return self.error if self.status == "skipped" else None

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Outcome":
        """Return the outcome in a line from `to_json`."""
        return cls(**json.loads(line))


@dataclass(frozen=True, slots=True)
class Task:
    """One image to stylize.

    Attributes:
        batch: the batch's name in the config.
        input: path or URI to read.
        output: path or URI to write.
        recipe: the digest of the recipe.
        folder: the batch's output folder.
        stamp: the digest of the input and the recipe, from `results.stamp`.
        replaces: the version of the output that exists already, "" if none does.
        style: the styles or paintings of the recipe, as `Resolved.style`.
        keep_time: whether the output gets the input's time of last change.
    """

    batch: str
    input: str
    output: str
    recipe: str
    folder: str
    stamp: str
    replaces: str = ""
    style: str = ""
    keep_time: bool = False

    def outcome(
        self,
        status: Status,
        seconds: float,
        size: tuple[int, int] | None = None,
        error: str | None = None,
    ) -> Outcome:
        """Return the outcome of this task.

        Args:
            status: what became of it.
            seconds: spent on it.
            size: width and height of the output in pixels, if known.
            error: why it failed or was not started.
        """
        width, height = size or (None, None)
        return Outcome(
            batch=self.batch,
            input=self.input,
            output=self.output,
            status=status,
            recipe=self.recipe,
            seconds=round(seconds, 3),
            width=width,
            height=height,
            error=error,
            stamp=self.stamp,
            style=self.style,
        )
