"""The Stylize PTransform: tasks in, outcomes out."""

import time
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.records import Outcome, Task
from stylebeam.pipeline.archive.results import write_result
from stylebeam.pipeline.beam.model_handler import METRICS_NAMESPACE, LoadedPhoto, StylizerPool
from stylebeam.pipeline.runs.progress import Tally
from stylebeam.pipeline.runs.stopping import StopSign
from stylebeam.pipeline.storage import DEFAULT_DEADLINE
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.formats import DEFAULT_MAX_PIXELS, ImageError

Element = TypeVar("Element", Task, LoadedPhoto, Outcome)
Handler: TypeAlias = "ModelHandler[LoadedPhoto, LoadedPhoto | Outcome, StylizerPool]"


@dataclass(frozen=True)
class Limits:
    """What bounds the work on images.

    Attributes:
        max_pixels: images of more pixels fail before they are decoded.
        storage_deadline: seconds for which a read or write is tried again.
    """

    max_pixels: int = DEFAULT_MAX_PIXELS
    storage_deadline: float = DEFAULT_DEADLINE


def read_photo(task: Task, limits: Limits, sign: StopSign) -> LoadedPhoto | Outcome:
    """Read and decode a task's input.

    Returns:
        The photo; or its outcome, `failed` if that cannot be done, or `skipped` if the run is
        to stop.
    """
    if reason := sign.reason:
        return task.outcome("skipped", 0.0, error=f"It was not begun with: {reason}.")
    started = time.monotonic()
    try:
        photo = decode(storage.read(task.input, limits.storage_deadline), limits.max_pixels)
    except (storage.StorageError, ImageError) as error:
        return task.outcome("failed", time.monotonic() - started, error=str(error))
    return LoadedPhoto(task, photo, time.monotonic() - started)


def write_photo(stylized: LoadedPhoto, limits: Limits) -> Outcome:
    """Encode and write a stylised photo, and return what became of it."""
    started = time.monotonic()
    task, photo = stylized.task, stylized.photo
    try:
        recipe = task.recipe
        data = encode(photo, recipe.format, recipe.quality, keep_gps=recipe.gps == "keep")
        write_result(task, data, limits.storage_deadline)
    except (storage.StorageError, ImageError) as error:
        seconds = stylized.seconds + time.monotonic() - started
        return task.outcome("failed", seconds, photo.size, str(error))
    return task.outcome("done", stylized.seconds + time.monotonic() - started, photo.size)


class Stylize(beam.PTransform):
    """Reads, decodes, stylises, encodes and writes each task's image.

    Every task becomes exactly one outcome, and outcomes among the tasks stay what they are. Only
    the small tasks cross a shuffle: from reading to writing, the steps are fused, and pixels stay
    in one process.
    """

    def __init__(
        self, handler: Handler, limits: Limits, sign: StopSign, tally: Tally | None = None
    ) -> None:
        """Make the transform.

        Args:
            handler: stylises loaded photos.
            limits: of the work on images.
            sign: says when to begin no more of them.
            tally: counts what becomes of tasks.
        """
        super().__init__()
        self._handler = handler
        self._limits = limits
        self._sign = sign
        self._tally = tally

    def expand(self, work: beam.PCollection[Task | Outcome]) -> beam.PCollection[Outcome]:
        """Return the outcomes."""
        tasks, decided = (
            work
            | "Count the refused" >> beam.Map(_counted, self._sign, None)
            | "Part the decided" >> beam.Partition(_is_outcome, 2)
        )
        loaded, unread = (
            tasks
            | "Spread over workers" >> beam.Reshuffle()
            | "Read" >> beam.Map(read_photo, self._limits, self._sign)
            | "Count the unreadable" >> beam.Map(_counted, self._sign, self._tally)
            | "Part the unread" >> beam.Partition(_is_outcome, 2)
        )
        stylized, failed = (
            loaded
            | "Stylise" >> RunInference(self._handler)
            | "Count the failed" >> beam.Map(_counted, self._sign, self._tally)
            | "Part the failed" >> beam.Partition(_is_outcome, 2)
        )
        written = (
            stylized
            | "Write" >> beam.Map(write_photo, self._limits)
            | "Count the written" >> beam.Map(_counted, self._sign, self._tally)
        )
        return (
            (decided, unread, failed, written)
            | "All outcomes" >> beam.Flatten()
            | "Count" >> beam.Map(_with_metric)
        )


def _is_outcome(element: Task | LoadedPhoto | Outcome, partitions: int) -> int:
    return int(isinstance(element, Outcome))


def _counted(element: Element, sign: StopSign, tally: Tally | None) -> Element:
    """Count an outcome where it happens: what comes after a Flatten comes when all is done."""
    if isinstance(element, Outcome):
        if tally is not None:
            tally.add(element)
        if element.status == "failed":
            sign.count_failure()
    return element


def _with_metric(outcome: Outcome) -> Outcome:
    beam.metrics.Metrics.counter(METRICS_NAMESPACE, outcome.status).inc()
    return outcome
