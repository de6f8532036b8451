"""What a run would do: which image, by which recipe, to which place. Nothing is written."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline import storage
from pipeline.config import Batch, FastOptions, RunConfig
from pipeline.config_file import ConfigError
from pipeline.records import Recipe, Task
from pipeline.styles import locate_style, read_style
from transforms.image_io import EXTENSION_OF_FORMAT, FORMAT_OF_EXTENSION

_MISTAKES_SHOWN = 20


@dataclass(frozen=True)
class BatchPlan:
    """A batch whose style is found and hashed.

    Attributes:
        batch: the batch of the config.
        checkpoint: where the style's checkpoint is: a path or URI.
        weights: the SHA-256 of the checkpoint, in hexadecimal.
    """

    batch: Batch
    checkpoint: str
    weights: str

    def tasks(self) -> Iterator[Task]:
        """List the batch's input and yield a task for each image.

        Raises:
            StorageError: the input cannot be listed.
        """
        for path, relative in storage.list_images(self.batch.input):
            stem, extension = posixpath.splitext(relative)
            if self.batch.format == "same":
                image_format = FORMAT_OF_EXTENSION[extension.lower()]
            else:
                image_format = self.batch.format
                extension = EXTENSION_OF_FORMAT[image_format]
            recipe = Recipe(
                method="fast",
                checkpoint=self.checkpoint,
                weights=self.weights,
                strength=self.options.strength,
                format=image_format,
                quality=self.batch.quality,
            )
            output = storage.join(self.batch.output, stem + extension)
            yield Task(self.batch.name, path, output, recipe)

    @property
    def options(self) -> FastOptions:
        """The options of the batch's method."""
        assert self.batch.fast is not None, "the config's types see to it"
        return self.batch.fast


def plan(config: RunConfig) -> tuple[list[BatchPlan], dict[str, int]]:
    """List the inputs of a config and find its styles, before anything runs.

    Returns:
        A plan for each batch, and the count of images in each batch, by its name.

    Raises:
        ConfigError: two images would be written to one place.
        StyleError: a style's checkpoint cannot be read.
        StorageError: an input cannot be listed.
    """
    plans = [_plan_batch(batch) for batch in config.batches]
    counts, collisions = _count_and_collide(plans)
    if collisions:
        raise ConfigError(collisions)
    return plans, counts


def _plan_batch(batch: Batch) -> BatchPlan:
    assert batch.fast is not None, "the config's types see to it"
    location = locate_style(batch.fast.style)
    _, digest = read_style(location)
    return BatchPlan(batch, location, digest)


def _count_and_collide(plans: list[BatchPlan]) -> tuple[dict[str, int], list[str]]:
    """Count each batch's images and find outputs that two images share."""
    counts: dict[str, int] = {}
    first: dict[str, str] = {}
    collisions = []
    for batch_plan in plans:
        name = batch_plan.batch.name
        counts[name] = 0
        for task in batch_plan.tasks():
            counts[name] += 1
            if task.output in first:
                collisions.append(
                    f"batch {name}: {task.input} and {first[task.output]} would both be written"
                    f" to {task.output}"
                )
            else:
                first[task.output] = task.input
    if len(collisions) > _MISTAKES_SHOWN:
        more = len(collisions) - _MISTAKES_SHOWN
        collisions[_MISTAKES_SHOWN:] = [f"... and {more} more outputs that two images share"]
    return counts, collisions
