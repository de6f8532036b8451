"""The Stylize PTransform: tasks in, outcomes out."""

import time
from typing import TypeAlias

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

from pipeline import storage
from pipeline.model_handler import METRICS_NAMESPACE, LoadedPhoto, StylizerPool
from pipeline.records import Outcome, Task
from transforms.image_io import ImageError, decode, encode

Handler: TypeAlias = "ModelHandler[LoadedPhoto, LoadedPhoto | Outcome, StylizerPool]"


def read_photo(task: Task, max_pixels: int) -> LoadedPhoto | Outcome:
    """Read and decode a task's input; return its `failed` outcome if that cannot be done."""
    started = time.monotonic()
    try:
        photo = decode(storage.read(task.input), max_pixels)
    except (storage.StorageError, ImageError) as error:
        return task.outcome("failed", time.monotonic() - started, error=str(error))
    return LoadedPhoto(task, photo, time.monotonic() - started)


def write_photo(stylized: LoadedPhoto) -> Outcome:
    """Encode and write a stylised photo, and return what became of it."""
    started = time.monotonic()
    task, photo = stylized.task, stylized.photo
    try:
        data = encode(photo, task.recipe.format, task.recipe.quality)
        storage.write(task.output, data, f"image/{task.recipe.format}")
    except (storage.StorageError, ImageError) as error:
        seconds = stylized.seconds + time.monotonic() - started
        return task.outcome("failed", seconds, photo.size, str(error))
    return task.outcome("done", stylized.seconds + time.monotonic() - started, photo.size)


class Stylize(beam.PTransform):
    """Reads, decodes, stylises, encodes and writes each task's image.

    Every task becomes exactly one outcome. Only the small tasks cross a shuffle: from reading to
    writing, the steps are fused, and pixels stay in one process.
    """

    def __init__(self, handler: Handler, max_pixels: int) -> None:
        """Make the transform.

        Args:
            handler: stylises loaded photos.
            max_pixels: images of more pixels fail before they are decoded.
        """
        super().__init__()
        self._handler = handler
        self._max_pixels = max_pixels

    def expand(self, tasks: beam.PCollection[Task]) -> beam.PCollection[Outcome]:
        """Return the outcomes of the tasks."""
        loaded = (
            tasks
            | "Spread over workers" >> beam.Reshuffle()
            | "Read" >> beam.Map(read_photo, self._max_pixels)
            | "Part the unreadable" >> beam.Partition(_is_outcome, 2)
        )
        stylized = (
            loaded[0]
            | "Stylise" >> RunInference(self._handler)
            | "Part the failed" >> beam.Partition(_is_outcome, 2)
        )
        written = stylized[0] | "Write" >> beam.Map(write_photo)
        return (
            (loaded[1], stylized[1], written)
            | "All outcomes" >> beam.Flatten()
            | "Count" >> beam.Map(_counted)
        )


def _is_outcome(element: LoadedPhoto | Outcome, partitions: int) -> int:
    return int(isinstance(element, Outcome))


def _counted(outcome: Outcome) -> Outcome:
    beam.metrics.Metrics.counter(METRICS_NAMESPACE, outcome.status).inc()
    return outcome
