"""What a run would do: which image, by which recipe, to which place. Nothing is written."""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline import inputs, storage
from pipeline.config import Batch, RunConfig
from pipeline.config_file import ConfigError
from pipeline.paintings import GatysChoice
from pipeline.records import Recipe, Task
from pipeline.styles import Choice
from transforms.image_io import EXTENSION_OF_FORMAT, FORMAT_OF_EXTENSION

_MISTAKES_SHOWN = 20


@dataclass(frozen=True)
class BatchPlan:
    """A batch whose style is known by its contents.

    Attributes:
        batch: the batch of the config.
        choice: the checkpoint and the styles in it, or the paintings.
    """

    batch: Batch
    choice: Choice | GatysChoice

    def tasks(self) -> Iterator[Task]:
        """List the batch's input and yield a task for each image.

        Raises:
            StorageError: the input cannot be listed.
        """
        batch = self.batch
        for path, relative in inputs.list_images(batch.input):
            stem, extension = posixpath.splitext(relative)
            if batch.format == "same":
                image_format = FORMAT_OF_EXTENSION[extension.lower()]
            else:
                image_format = batch.format
                extension = EXTENSION_OF_FORMAT[image_format]
            recipe = Recipe(
                method=batch.method,
                choice=self.choice,
                format=image_format,
                quality=batch.quality,
            )
            output = storage.join(batch.output, stem + extension)
            yield Task(batch.name, path, output, recipe)


def plan(config: RunConfig) -> list[BatchPlan]:
    """Return a plan for each batch of a config.

    Raises:
        StyleError: a style's checkpoint or a painting cannot be read.
        WeightsUnavailableError: a loss network's weights are not to be had.
    """
    return [BatchPlan(batch, batch.choose()) for batch in config.batches]


def survey(plans: Iterable[BatchPlan]) -> dict[str, int]:
    """List the inputs of all batches and return the count of images in each, by its name.

    Raises:
        ConfigError: two images would be written to one place, or one over an input.
        StorageError: an input cannot be listed.
    """
    counts: dict[str, int] = {}
    sources: dict[str, str] = {}
    inputs_found: set[str] = set()
    mistakes = []
    for batch_plan in plans:
        name = batch_plan.batch.name
        counts[name] = 0
        for task in batch_plan.tasks():
            counts[name] += 1
            inputs_found |= {storage.place_of(task.input), storage.real_path(task.input)}
            place = storage.place_of(task.output)
            if place not in sources:
                sources[place] = task.input
            else:
                source = sources[place]
                mistakes.append(
                    f"batch {name}: {task.input} and {source} would both be written to"
                    f" {task.output}"
                )
    for output in sorted(inputs_found & sources.keys()):
        mistakes.append(f"{sources[output]} would be written over {output}, which is an input")
    if len(mistakes) > _MISTAKES_SHOWN:
        mistakes[_MISTAKES_SHOWN:] = [f"... and {len(mistakes) - _MISTAKES_SHOWN} more like these"]
    if mistakes:
        raise ConfigError(mistakes)
    return counts
