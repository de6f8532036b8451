"""What a run would do: which image, by which recipe, to which place. Nothing is written."""

import dataclasses
import os
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import inputs, ledger
from stylebeam.pipeline.archive.records import Outcome, Recipe, Status, Task
from stylebeam.pipeline.archive.results import Overwrite, Result, results_in, stamp
from stylebeam.pipeline.config.file import ConfigError
from stylebeam.pipeline.config.run_config import Batch, RunConfig
from stylebeam.pipeline.methods.paintings import GatysChoice
from stylebeam.pipeline.methods.styles import Choice
from stylebeam.transforms.images.formats import (
    EXTENSION_OF_FORMAT,
    FORMAT_OF_EXTENSION,
    FORMATS,
    ImageFormat,
)

_MISTAKES_SHOWN = 20


@dataclass(frozen=True)
class BatchPlan:
    """A batch whose style is known by its contents.

    Attributes:
        batch: the batch of the config.
        choice: the checkpoint and the styles in it, or the paintings.
        retry_failed: do only what failed in the run before.
    """

    batch: Batch
    choice: Choice | GatysChoice
    retry_failed: bool = False

    def work(self) -> Iterator[Task | Outcome]:
        """List the batch's input, and yield what is to be done, or has become, of each image.

        Raises:
            StorageError: the input or the output cannot be listed, or the record of the run before
                not be read.
        """
        batch = self.batch
        results = results_in(batch.output)
        recipes = {
            each: Recipe(batch.method, self.choice, each, batch.quality, batch.gps)
            for each in FORMATS
        }
        earlier: dict[str, Outcome] = {}
        if self.retry_failed:
            outcomes = ledger.read_outcomes(batch.output)
            earlier = {each.input: each for each in outcomes if each.batch == batch.name}
        for image in inputs.list_images(batch.input):
            before = earlier.get(image.path)
            if self.retry_failed and (before is None or before.status != "failed"):
                if before is not None:
                    yield before
                continue
            task = self._task(image, recipes)
            if image.mistake:
                refused = task.outcome("failed", 0.0, error=image.mistake)
                yield dataclasses.replace(refused, output="")
            else:
                # What has been decided needs no memory: an archive's results are many.
                yield _decision(task, results.pop(task.output, None), batch.overwrite)

    def _task(self, image: inputs.FoundImage, recipes: Mapping[ImageFormat, Recipe]) -> Task:
        batch = self.batch
        stem, extension = posixpath.splitext(image.relative)
        if batch.format == "same":
            image_format = FORMAT_OF_EXTENSION[extension.lower()]
        else:
            image_format = batch.format
            extension = EXTENSION_OF_FORMAT[image_format]
        recipe = recipes[image_format]
        return Task(
            batch=batch.name,
            input=image.path,
            output=storage.join(batch.output, stem + extension),
            recipe=recipe,
            folder=batch.output,
            stamp=stamp(recipe.digest, storage.place_of(image.path), image.version),
        )


def _decision(task: Task, result: Result | None, overwrite: Overwrite) -> Task | Outcome:
    """Return the task if it is to be done, else its outcome.

    Args:
        task: what could be done.
        result: what is in the place of its output.
        overwrite: what the batch says of outputs that are there.
    """
    if result is None:
        return task
    up_to_date = result.ours and result.stamp == task.stamp
    if overwrite == "never" or (overwrite == "changed" and up_to_date):
        return task.outcome("skipped", 0.0)
    if overwrite == "changed" and not result.ours:
        return task.outcome(
            "failed",
            0.0,
            error=f"{task.output} is there already, and is not, or no longer, what a run wrote: it"
            " is left as it is. Move it away, or say overwrite: always.",
        )
    return dataclasses.replace(task, replaces=result.version)


def plan(config: RunConfig, retry_failed: bool = False) -> list[BatchPlan]:
    """Return a plan for each batch of a config.

    Args:
        config: what is to be done.
        retry_failed: do only what failed in the run before.

    Raises:
        StyleError: a style's checkpoint or a painting cannot be read.
        WeightsUnavailableError: a loss network's weights are not to be had.
    """
    return [BatchPlan(batch, batch.choose(), retry_failed) for batch in config.batches]


def survey(plans: Iterable[BatchPlan]) -> dict[str, Counter[Status | None]]:
    """Count the images of each batch, by its name.

    Returns:
        How many are decided already, by status, and under None, how many are to be done.

    Raises:
        ConfigError: two images would be written to one place, or one over an input.
        StorageError: an input or an output cannot be listed.
    """
    counts: dict[str, Counter[Status | None]] = {}
    sources: dict[str, str] = {}
    inputs_found: set[str] = set()
    mistakes = []
    for batch_plan in plans:
        name = batch_plan.batch.name
        counts[name] = Counter()
        for item in batch_plan.work():
            counts[name][item.status if isinstance(item, Outcome) else None] += 1
            inputs_found.add(storage.place_of(item.input))
            if os.path.islink(item.input):
                inputs_found.add(storage.real_path(item.input))
            if not item.output:
                continue
            place = storage.place_of(item.output)
            if place not in sources:
                sources[place] = item.input
            else:
                source = sources[place]
                mistakes.append(
                    f"batch {name}: {item.input} and {source} would both be written to"
                    f" {item.output}"
                )
    for output in sorted(inputs_found & sources.keys()):
        mistakes.append(f"{sources[output]} would be written over {output}, which is an input")
    if len(mistakes) > _MISTAKES_SHOWN:
        mistakes[_MISTAKES_SHOWN:] = [f"... and {len(mistakes) - _MISTAKES_SHOWN} more like these"]
    if mistakes:
        raise ConfigError(mistakes)
    return counts


def output_folders(plans: Iterable[BatchPlan]) -> dict[str, str]:
    """Return each batch's output folder by the batch's name, one folder always written alike."""
    return {each.batch.name: storage.real_path(each.batch.output) for each in plans}
