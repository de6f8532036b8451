"""`StylizeFiles`: a PTransform for your own pipeline, from paths of images to outcomes."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import apache_beam as beam

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.inputs import image_extension, includes
from stylebeam.pipeline.archive.records import GpsOption, Outcome, Recipe, Task
from stylebeam.pipeline.archive.results import Overwrite, Results
from stylebeam.pipeline.archive.tasks import decide, task_for
from stylebeam.pipeline.beam.model_handler import StylizeModelHandler
from stylebeam.pipeline.beam.recipes import recipes_for
from stylebeam.pipeline.beam.steps import Limits, StylizeTasks
from stylebeam.pipeline.storage import DEFAULT_DEADLINE
from stylebeam.transforms.hardware.devices import DeviceName
from stylebeam.transforms.images.formats import (
    DEFAULT_MAX_PIXELS,
    DEFAULT_QUALITY,
    FORMAT_OF_EXTENSION,
)


class StylizeFiles(beam.PTransform):
    """Stylizes image files, from storage to storage.

    It takes a PCollection of paths or URIs below one folder, and returns a PCollection of
    `Outcome`, one for each path: `done`, `skipped` because the output is up to date, or `failed`
    with the reason:

        outcomes = (
            pipeline
            | beam.Create(["gs://archive/photos/2026/a.jpg"])
            | StylizeFiles("gs://archive/photos", "gs://archive-styled", style="starry_night")
        )
        outcomes | beam.Map(lambda each: print(each.input, each.status, each.error))

    As in a run of the command, outputs mirror the folder's tree, each appears whole or not at all,
    and each has a stamp, so that a second run does only what is missing or changed. No output is
    written below the input folder. The caller must make sure that no two paths have the same
    output: the paths are spread over the workers, so no worker can check this.
    """

    def __init__(
        self,
        input_folder: str,
        output_folder: str,
        method: str = "",
        *,
        format: str = "same",  # noqa: A002  # as in a config
        quality: int = DEFAULT_QUALITY,
        gps: GpsOption = "keep",
        overwrite: Overwrite = "changed",
        device: DeviceName = "auto",
        max_pixels: int = DEFAULT_MAX_PIXELS,
        memory: float | None = None,
        storage_deadline: float = DEFAULT_DEADLINE,
        image_deadline: float | None = None,
        **options: Any,
    ) -> None:
        """Choose the folders, the method and its options; files that options name are read here.

        Args:
            input_folder: the folder, or prefix of a bucket, that all paths lie below.
            output_folder: gets the same tree.
            method: a method's name, as in a config; by default the fast network.
            format: the file format of the outputs; "same" for each image's own.
            quality: of lossy formats, from 1 to 100.
            gps: "keep", or "drop" for outputs that do not say where the photo was taken.
            overwrite: which existing outputs are redone: "changed", "always" or "never".
            device: where to compute: "auto", "cpu" or "cuda".
            max_pixels: images with more pixels, or enlarged to more, fail.
            memory: gigabytes that photos may take in each worker process; by default half of the
                machine's.
            storage_deadline: seconds within which a request to a remote storage must be done.
            image_deadline: seconds of work after which an image is given up and fails; by default
                it is given up after 2 minutes without progress, and one more for each megapixel.
            **options: the method's options, as in its section of a config.

        Raises:
            MethodError: there is no such method or option, a value is wrong, or a style, a
                painting or a checkpoint cannot be found or used.
            ValueError: the output folder is the input folder, or below it.
        """
        super().__init__()
        if includes(input_folder, output_folder):
            raise ValueError(
                f"The output folder {output_folder} must not be in the input folder {input_folder}:"
                " outputs could replace inputs."
            )
        self._input_folder = input_folder.rstrip("/")
        self._output_folder = output_folder.rstrip("/")
        self._recipes = recipes_for(method, format, quality, options, gps)
        self._format = format
        self._overwrite: Overwrite = overwrite
        self._device: DeviceName = device
        self._memory = None if memory is None else int(memory * 1e9)
        self._limits = Limits(max_pixels, storage_deadline, image_deadline, self._memory)

    def expand(self, paths: beam.PCollection[str]) -> beam.PCollection[Outcome]:
        """Return the outcomes."""
        by_digest = {recipe.digest: recipe for recipe in self._recipes.values()}
        handler = StylizeModelHandler(
            by_digest, self._device, self._limits.max_pixels, memory=self._memory
        )
        return (
            paths
            | "PlanFiles"
            >> beam.ParDo(
                _PlanFiles(
                    self._input_folder,
                    self._output_folder,
                    self._format,
                    self._recipes,
                    self._overwrite,
                    self._limits.storage_deadline,
                )
            )
            | "StylizeTasks" >> StylizeTasks(by_digest, handler, self._limits)
        )


class _PlanFiles(beam.DoFn):
    """Turns each path into a task, or into its outcome if there is nothing to do."""

    def __init__(
        self,
        input_folder: str,
        output_folder: str,
        image_format: str,
        recipes: dict[str, Recipe],
        overwrite: Overwrite,
        storage_deadline: float,
    ) -> None:
        self._input_folder = input_folder
        self._output_folder = output_folder
        self._format = image_format
        self._recipes = recipes
        self._overwrite = overwrite
        self._storage_deadline = storage_deadline
        self._results: Results | None = None

    def setup(self) -> None:
        self._listing = threading.Lock()

    def process(self, path: str) -> Iterator[Task | Outcome]:
        relative = path.removeprefix(f"{self._input_folder}/")
        refused = Outcome("", path, "", "failed", "", 0.0)
        if relative == path:
            reason = f"{path} is not below {self._input_folder}."
        elif image_extension(path) is None:
            reason = f"{path} is not an image ({', '.join(FORMAT_OF_EXTENSION)})."
        else:
            reason = None
        if reason:
            yield replace(refused, error=reason)
            return
        storage.set_deadline(self._storage_deadline)
        try:
            file = storage.file_at(path)
            version = file.version if file else ""
            results = self._existing()
        except storage.StorageError as error:
            yield replace(refused, error=str(error))
            return
        task = task_for(
            path,
            relative,
            version,
            batch="",
            output=self._output_folder,
            image_format=self._format,
            recipes=self._recipes,
        )
        # The input folder can be below the output folder.
        if includes(self._input_folder, os.path.dirname(task.output)):
            refusal = f"It would be written to {task.output}, below the input folder."
            yield task.outcome("failed", 0.0, error=refusal)
            return
        if mistake := storage.mistake_in(task.output):
            yield task.outcome("failed", 0.0, error=f"It cannot be written: {mistake}.")
            return
        if mistake := results.mistake_at(task.output):
            yield task.outcome("failed", 0.0, error=mistake)
            return
        yield decide(task, version, results.of.get(task.output), self._overwrite)

    def _existing(self) -> Results:
        """Return what is in the output folder, listed once by each worker."""
        with self._listing:
            if self._results is None:
                self._results = Results(self._output_folder)
            return self._results
