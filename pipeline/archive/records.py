"""Recipe, task and outcome: the small immutable values that flow between the steps of a run."""

import dataclasses
import functools
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from stylebeam.pipeline.archive.names import from_record, to_record
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
        digest: of the output's contents, from `journal.digest_of`; None if it is unknown.
        run: the name of the run that recorded it; "" in records of earlier versions.
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
    digest: str | None = None
    run: str = ""

    @property
    def reason_not_started(self) -> str | None:
        """Why a run that was stopped had not started it; None if it had, or need not."""
        return self.error if self.status == "skipped" else None

    def to_json(self) -> str:
        """Return one line of JSON, in ASCII."""
        values = dataclasses.asdict(self)
        return json.dumps({**values, **{name: to_record(values[name]) for name in _PATHS}})

    @classmethod
    def from_json(cls, line: str | bytes) -> "Outcome":
        """Return the outcome in a line from `to_json`, also from one that another version wrote.

        Raises:
            ValueError: the line is damaged.
        """
        values = parse_object(line)
        known = {name: values[name] for name in _KINDS if name in values}
        for name, kinds in _KINDS.items():
            if name in known and type(known[name]) not in kinds:
                raise ValueError(f"{name} has the wrong type")
        try:
            outcome = cls(**{**known, **{name: from_record(known[name]) for name in _PATHS}})
            if outcome.status in STATUSES and math.isfinite(outcome.seconds):
                return outcome
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError("a value is missing or too large") from error
        raise ValueError("the status is unknown, or the time is no number")


_PATHS = ("input", "output")
_TEXT, _OPTIONAL_TEXT, _OPTIONAL_NUMBER = (str,), (str, type(None)), (int, type(None))
_KINDS: dict[str, tuple[type, ...]] = {
    "batch": _TEXT,
    "input": _TEXT,
    "output": _TEXT,
    "status": _TEXT,
    "recipe": _TEXT,
    "seconds": (int, float),
    "width": _OPTIONAL_NUMBER,
    "height": _OPTIONAL_NUMBER,
    "error": _OPTIONAL_TEXT,
    "stamp": _OPTIONAL_TEXT,
    "style": _TEXT,
    "digest": _OPTIONAL_TEXT,
    "run": _TEXT,
}


def parse_object(line: str | bytes) -> dict[str, Any]:
    """Return the JSON object in a line of UTF-8.

    Raises:
        ValueError: it is damaged, or not an object.
    """
    try:
        values = json.loads(line.decode() if isinstance(line, bytes) else line)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError("it is not an object")
    return values


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
        run: the name of the run; "" outside of a run.
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
    run: str = ""

    def outcome(
        self,
        status: Status,
        seconds: float,
        size: tuple[int, int] | None = None,
        error: str | None = None,
        digest: str | None = None,
    ) -> Outcome:
        """Return the outcome of this task.

        Args:
            status: what became of it.
            seconds: spent on it.
            size: width and height of the output in pixels, if known.
            error: why it failed or was not started.
            digest: of the output's contents, if known.
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
            digest=digest,
            run=self.run,
        )
