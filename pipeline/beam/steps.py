"""The steps of a run: tasks in, outcomes out."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.pvalue import TaggedOutput

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.records import Outcome, Recipe, Task
from stylebeam.pipeline.archive.results import write_result
from stylebeam.pipeline.beam.in_progress import IN_PROGRESS, GivenUpError
from stylebeam.pipeline.beam.loaded_photo import FailedPhoto, LoadedPhoto
from stylebeam.pipeline.beam.model_handler import METRICS_NAMESPACE
from stylebeam.pipeline.beam.recipes import size_check
from stylebeam.pipeline.beam.stopping import StopSign
from stylebeam.pipeline.beam.tally import Tally
from stylebeam.pipeline.methods.pool import EnginePool
from stylebeam.pipeline.storage import DEFAULT_DEADLINE
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.formats import DEFAULT_MAX_PIXELS, ImageError

Handler: TypeAlias = "ModelHandler[LoadedPhoto, LoadedPhoto | FailedPhoto, EnginePool]"

_OUTCOMES = "outcomes"


@dataclass(frozen=True)
class Limits:
    """Limits of the work on each image.

    Attributes:
        max_pixels: images with more pixels fail before they are decoded.
        storage_deadline: seconds within which a read or write must be done.
        image_deadline: seconds of work after which an image is given up; None for a limit that
            grows with its pixels.
        memory: bytes that photos may take; those that take more to decode fail before it. None for
            no such limit.
    """

    max_pixels: int = DEFAULT_MAX_PIXELS
    storage_deadline: float = DEFAULT_DEADLINE
    image_deadline: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Watch:
    """How a run follows its workers, and stops them.

    Attributes:
        sign: says when to start no more images; None for never.
        tally: counts what became of images, for a display; None for no display.
    """

    sign: StopSign | None = None
    tally: Tally | None = None

    @property
    def stopped(self) -> str | None:
        """Why no more images are started; None while they are."""
        return None if self.sign is None else self.sign.reason

    def record(self, outcome: Outcome) -> Outcome:
        """Record an outcome where it happens: steps after a Flatten run when all is done."""
        if self.tally is not None:
            self.tally.add(outcome)
        if self.sign is not None and outcome.status == "failed":
            self.sign.count_failure()
        IN_PROGRESS.finish()
        return outcome


def read_image(
    task: Task, recipes: Mapping[str, Recipe], limits: Limits, watch: Watch
) -> LoadedPhoto | Outcome:
    """Read and decode a task's input.

    The image is in progress from now on until it has an outcome.

    Returns:
        The photo; or the task's outcome, `failed` if the input cannot be read or decoded or its
        picture would be too large for the output's format, or `skipped` if the run is to stop.
    """
    if reason := watch.stopped:
        return watch.record(task.outcome("skipped", 0.0, error=f"It was not started: {reason}."))
    try:
        IN_PROGRESS.start(task, limits.image_deadline)
    except GivenUpError as error:
        return watch.record(task.outcome("failed", 0.0, error=str(error)))
    started = time.monotonic()
    try:
        IN_PROGRESS.enter("read")
        storage.set_deadline(limits.storage_deadline)
        data = storage.read(task.input)
        IN_PROGRESS.enter("decoded")
        photo = decode(data, limits.max_pixels, size_check(recipes[task.recipe], limits.memory))
    except Exception as error:  # Whatever a decoder raises, the other images continue.
        seconds = time.monotonic() - started
        return watch.record(task.outcome("failed", seconds, error=_reason("decoded", error)))
    return LoadedPhoto(task, task.recipe, photo, time.monotonic() - started)


def write_image(
    made: LoadedPhoto | FailedPhoto, recipes: Mapping[str, Recipe], limits: Limits, watch: Watch
) -> Outcome:
    """Encode and write a picture, and return what became of its task."""
    task: Task = made.key
    if isinstance(made, FailedPhoto):
        return watch.record(task.outcome("failed", made.seconds, made.size, made.reason))
    started = time.monotonic()
    recipe, picture = recipes[task.recipe], made.photo
    try:
        IN_PROGRESS.enter("encoded")
        data = encode(picture, recipe.format, recipe.quality, keep_gps=recipe.gps == "keep")
        IN_PROGRESS.enter("written")
        storage.set_deadline(limits.storage_deadline)
        digest = write_result(task, recipe.format, data)
    except Exception as error:  # As above.
        seconds = made.seconds + time.monotonic() - started
        reason = _reason("encoded", error)
        return watch.record(task.outcome("failed", seconds, picture.size, reason))
    seconds = made.seconds + time.monotonic() - started
    return watch.record(task.outcome("done", seconds, picture.size, digest=digest))


def _reason(what: str, error: Exception) -> str:
    """Return a sentence about an error.

    Args:
        what: what the image should have been, a past participle, for an unexpected error.
        error: the error.
    """
    if isinstance(error, (storage.StorageError, ImageError)):
        return str(error)
    if isinstance(error, MemoryError):
        return f"It could not be {what}: there is not enough memory."
    return f"It could not be {what}, because of an unexpected error: {error!r}."


class StylizeTasks(beam.PTransform):
    """Reads, stylizes and writes the image of each task.

    Every task becomes exactly one outcome; outcomes among the tasks stay as they are. Only the
    small tasks cross a shuffle: the steps from reading to writing are fused, and pixels stay in
    one process.
    """

    def __init__(
        self,
        recipes: Mapping[str, Recipe],
        handler: Handler,
        limits: Limits = Limits(),
        watch: Watch = Watch(),
    ) -> None:
        """Make the transform.

        Args:
            recipes: the recipes of all tasks, by their digests.
            handler: stylizes loaded photos.
            limits: of the work on each image.
            watch: how the run follows its workers, and stops them.
        """
        super().__init__()
        self._recipes = dict(recipes)
        self._handler = handler
        self._limits = limits
        self._watch = watch

    def expand(self, work: beam.PCollection[Task | Outcome]) -> beam.PCollection[Outcome]:
        """Return the outcomes."""
        planned = work | "SeparateDecided" >> beam.FlatMap(_separate, self._watch).with_outputs(
            _OUTCOMES, main="tasks"
        )
        read = (
            planned.tasks
            | "SpreadOverWorkers" >> beam.Reshuffle()
            | "ReadImages"
            >> beam.FlatMap(_read, self._recipes, self._limits, self._watch).with_outputs(
                _OUTCOMES, main="photos"
            )
        )
        written = (
            read.photos
            | "Stylize" >> RunInference(self._handler)
            | "WriteImages" >> beam.Map(write_image, self._recipes, self._limits, self._watch)
        )
        return (
            (planned[_OUTCOMES], read[_OUTCOMES], written)
            | "Outcomes" >> beam.Flatten()
            | "CountOutcomes" >> beam.Map(_with_metric)
        )


def _separate(item: Task | Outcome, watch: Watch) -> Iterator[Any]:
    """Tag what was decided when the run was planned."""
    if isinstance(item, Outcome):
        if watch.sign is not None and item.status == "failed":
            watch.sign.count_failure()
        yield TaggedOutput(_OUTCOMES, item)
    else:
        yield item


def _read(task: Task, recipes: Mapping[str, Recipe], limits: Limits, watch: Watch) -> Iterator[Any]:
    """Tag what is an outcome already."""
    read = read_image(task, recipes, limits, watch)
    yield TaggedOutput(_OUTCOMES, read) if isinstance(read, Outcome) else read


def _with_metric(outcome: Outcome) -> Outcome:
    Metrics.counter(METRICS_NAMESPACE, outcome.status).inc()
    return outcome
