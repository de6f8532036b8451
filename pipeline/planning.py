"""What a run would do: which image, by which recipe, to which place. Nothing is written."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline import storage
from pipeline.config import Batch, FastOptions, RunConfig
from pipeline.config_file import ConfigError
from pipeline.records import Recipe, Task
from transforms.checkpoints import (
    CheckpointError,
    parse_checkpoint,
    shipped_styles,
    weights_digest,
)
from transforms.devices import DeviceUnavailableError, choose_device
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
    """Check a config against the world before anything runs.

    Returns:
        A plan for each batch, and the count of images in each batch, by its name.

    Raises:
        ConfigError: something that the config names is not there or would do harm; all such
            mistakes at once.
        StorageError: an input cannot be listed.
    """
    mistakes = []
    try:
        choose_device(config.run.device)
    except DeviceUnavailableError as error:
        mistakes.append(f"run.device: {error}")
    plans = []
    styles: dict[str, tuple[str, str]] = {}
    for batch in config.batches:
        mistakes += _input_mistakes(batch, config)
        assert batch.fast is not None, "the config's types see to it"
        style = batch.fast.style
        try:
            if style not in styles:
                styles[style] = find_style(style)
            plans.append(BatchPlan(batch, *styles[style]))
        except ConfigError as error:
            mistakes.append(f"batch {batch.name}: fast.style: {error}")
    if mistakes:
        raise ConfigError(mistakes)
    counts, collisions = _count_and_collide(plans)
    if collisions:
        raise ConfigError(collisions)
    return plans, counts


def find_style(style: str) -> tuple[str, str]:
    """Return where a style's checkpoint is, and the checkpoint's digest.

    Args:
        style: a shipped style's name, or the path or URI of a .safetensors checkpoint.

    Raises:
        ConfigError: there is no such style, or its checkpoint cannot be used.
    """
    shipped = shipped_styles()
    if style in shipped:
        location = str(shipped[style])
    elif style.endswith(".safetensors"):
        location = style
    else:
        raise ConfigError(
            [
                f"there is no shipped style {style}; there is {', '.join(shipped)}."
                " (A checkpoint of your own is named by its path, ending in .safetensors.)"
            ]
        )
    try:
        data = storage.read(location)
        parse_checkpoint(data).build()
    except (storage.StorageError, CheckpointError) as error:
        raise ConfigError([f"{style}: {error}"]) from error
    return location, weights_digest(data)


def _input_mistakes(batch: Batch, config: RunConfig) -> Iterator[str]:
    if missing := storage.missing(batch.input):
        yield f"batch {batch.name}: input: {missing} does not exist."
    _, pattern = storage.input_pattern(batch.input)
    for other in config.batches:
        if storage.matches(pattern, storage.join(other.output, "image.jpg")):
            yield (
                f"batch {batch.name}: input: {batch.input} includes {other.output}, where batch"
                f" {other.name} writes. Write to a folder outside the input, so that nothing is"
                " overwritten and no result is stylised again."
            )


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
                    f" to {task.output}."
                )
            else:
                first[task.output] = task.input
    if len(collisions) > _MISTAKES_SHOWN:
        more = len(collisions) - _MISTAKES_SHOWN
        collisions[_MISTAKES_SHOWN:] = [f"... and {more} more outputs that two images share."]
    return counts, collisions
