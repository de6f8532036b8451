"""What a run would do: which image, by which recipe, to which place. Nothing is written."""

import dataclasses
import os
import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import inputs, ledger
from stylebeam.pipeline.archive.records import Outcome, Recipe, Status, Task
from stylebeam.pipeline.archive.results import Overwrite, Result, results_in, stamp
from stylebeam.pipeline.config.file import ConfigError
from stylebeam.pipeline.config.mistakes import Problems
from stylebeam.pipeline.config.run_config import Batch, RunConfig
from stylebeam.pipeline.methods.options import GatysOptions, SuperResolutionOptions
from stylebeam.pipeline.methods.paintings import GatysChoice, choose_loss_networks, choose_paintings
from stylebeam.pipeline.methods.styles import Choice, StyleError, choose, choose_super_resolution
from stylebeam.transforms.images.io import EXTENSION_OF_FORMAT, FORMAT_OF_EXTENSION, ImageFormat
from stylebeam.transforms.losses.vgg_weights import WeightsUnavailableError

_MISTAKES_SHOWN = 20
_FORMATS: tuple[ImageFormat, ...] = get_args(ImageFormat)


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
            for each in _FORMATS
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


class Cache:
    """Remembers what functions return, so that no file is read twice."""

    def __init__(self) -> None:
        self._results: dict[tuple[str, str], Any] = {}

    def call(self, function: Callable[..., Any], *args: Any, key: Any = None) -> Any:
        """Return what a function returns; call it only the first time.

        Args:
            function: the function.
            *args: its arguments.
            key: what its result depends on; by default, all arguments.
        """
        known = (function.__qualname__, repr(args if key is None else key))
        if known not in self._results:
            self._results[known] = function(*args)
        return self._results[known]


def resolve(
    config: RunConfig, problems: Problems, retry_failed: bool = False, cache: Cache | None = None
) -> list[BatchPlan]:
    """Return a plan for each batch of a config; `load_and_resolve` calls this.

    Args:
        config: a valid config.
        problems: collects what is wrong with the folders and files that the config names.
        retry_failed: do only what failed in the run before.
        cache: remembers files from one config to the next.

    Returns:
        The plans; none where the config has problems, as weights are then not worth a download.
    """
    cache = cache or Cache()
    _check_folders(config, problems)
    for position, batch in enumerate(config.batches):
        _check_options(batch, problems.at("batches", position), cache)
    if problems:
        return []
    return [
        BatchPlan(batch, choice, retry_failed)
        for position, batch in enumerate(config.batches)
        if (choice := _choose(batch, problems.at("batches", position), cache))
    ]


def resolve_gatys(
    options: GatysOptions,
    problems: Problems,
    fast: Choice | None = None,
    cache: Cache | None = None,
) -> GatysChoice | None:
    """Return the paintings and loss networks of an optimization; None if there are problems.

    Args:
        options: of the optimization.
        problems: collects what is wrong with the files that the options name.
        fast: the fast network that the optimization starts from, if it does.
        cache: remembers files from one call to the next.
    """
    cache = cache or Cache()
    try:
        paintings = cache.call(choose_paintings, options.style_image)
    except StyleError as error:
        problems.add(("style_image",), str(error))
    if problems:
        return None
    recipe = options.plain
    layers = sorted({**recipe.content_layers, **recipe.style_layers})
    key = (recipe.networks, recipe.weights_convention, layers, options.weights)
    try:
        loss_networks = cache.call(choose_loss_networks, recipe, options.weights, key=key)
    except WeightsUnavailableError as error:
        problems.add((), str(error))
        return None
    return GatysChoice(recipe, paintings, loss_networks, fast, options.batch_size)


def _check_folders(config: RunConfig, problems: Problems) -> None:
    readable, writable = [], []
    for position, batch in enumerate(config.batches):
        here = problems.at("batches", position)
        if mistake := storage.mistake_in(batch.input) or inputs.mistake_in(batch.input):
            here.add(("input",), mistake)
        else:
            readable.append((here, batch))
        if mistake := storage.mistake_in(batch.output):
            here.add(("output",), mistake)
        elif not storage.is_remote(batch.output) and os.path.isfile(batch.output):
            here.add(("output",), f"{batch.output} is a file, not a folder")
        else:
            writable.append(batch)
    for here, batch in readable:
        for other in writable:
            if inputs.includes(batch.input, other.output):
                here.add(
                    ("input",),
                    f"{batch.input} includes {other.output}, where batch {other.name} writes;"
                    " write to a folder outside the input, so that nothing is overwritten and"
                    " no result is stylized again",
                )


def _check_options(batch: Batch, problems: Problems, cache: Cache) -> None:
    """Add what is wrong with the files that options name, be they of the batch's method or not."""
    if batch.fast:
        try:
            cache.call(choose, batch.fast.style, batch.fast.checkpoint)
        except StyleError as error:
            problems.add(("fast", "style"), str(error), depends_on=[("fast", "checkpoint")])
    if batch.gatys:
        try:
            cache.call(choose_paintings, batch.gatys.style_image)
        except StyleError as error:
            problems.add(("gatys", "style_image"), str(error))
    if batch.method == "super_resolution" or "super_resolution" in batch.model_fields_set:
        try:
            cache.call(choose_super_resolution, batch.super_resolution.checkpoint)
        except StyleError as error:
            problems.add(("super_resolution", "checkpoint"), str(error))


def _choose(batch: Batch, problems: Problems, cache: Cache) -> Choice | GatysChoice | None:
    """Return what the batch's method needs, whose files are known to be right but for weights."""
    options = batch.options
    if isinstance(options, SuperResolutionOptions):
        choice: Choice = cache.call(choose_super_resolution, options.checkpoint)
        return choice
    fast = batch.fast.choose(partial(cache.call, choose)) if batch.fast else None
    if isinstance(options, GatysOptions):
        start = fast if options.init == "fast" else None
        return resolve_gatys(options, problems.at("gatys"), start, cache)
    return fast


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
