"""Plans a run: which image, with which recipe, to which output. Writes nothing."""

import dataclasses
import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import inputs, ledger
from stylebeam.pipeline.archive.journal import Entry
from stylebeam.pipeline.archive.passed_over import PassedOver
from stylebeam.pipeline.archive.places import Places
from stylebeam.pipeline.archive.records import Outcome, Recipe, Status, Task
from stylebeam.pipeline.archive.results import Results, has_old_stamp
from stylebeam.pipeline.archive.tasks import decide, task_for
from stylebeam.pipeline.config.file import ConfigError
from stylebeam.pipeline.config.mistakes import Problems
from stylebeam.pipeline.config.run_config import Batch, RunConfig
from stylebeam.pipeline.methods.contract import MethodError, Resolved
from stylebeam.pipeline.methods.once import Once
from stylebeam.pipeline.methods.refined_styles import known_photo
from stylebeam.pipeline.methods.style_files import KnownFile
from stylebeam.transforms.images.formats import FORMAT_OF_EXTENSION
from stylebeam.transforms.losses.vgg_weights import WeightsUnavailableError

_MISTAKES_SHOWN = 20

Item = Task | Outcome
"""An image that is to be stylized, or what has become of it already."""

Counts = Mapping[str, Counter[Status | None]]
"""By batch, how many images are decided already, by status; under None, how many are to be done."""


@dataclass
class Listing:
    """What a listing of a batch's input found beside its images.

    Attributes:
        passed_over: other files and folders.
        closed_folders: how many folders cannot be listed.
        retried: how many images and folders failed in the last run.
        old_stamps: whether an output is up to date by a stamp with the absolute path of its input.
        recovered: what the output folder's journal lacks and digests prove; for `results.recover`.
        notes: a sentence for each part of the record that is lost or damaged.
    """

    passed_over: PassedOver = field(default_factory=PassedOver)
    closed_folders: int = 0
    retried: int = 0
    old_stamps: bool = False
    recovered: Mapping[str, Entry] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass
class BatchPlan:
    """A batch whose style is known by its contents.

    Attributes:
        batch: the batch in the config.
        options: the options of its method, resolved.
        retry_failed: do only what failed in the last run.
        listing: what the last listing of the input found beside its images.
    """

    batch: Batch
    options: Resolved
    retry_failed: bool = False
    listing: Listing = field(default_factory=Listing, init=False)

    @cached_property
    def recipes(self) -> Mapping[str, Recipe]:
        """The recipe for each file format that the outputs may have."""
        batch = self.batch
        formats = set(FORMAT_OF_EXTENSION.values()) if batch.format == "same" else {batch.format}
        return {
            each: Recipe(batch.method, self.options, each, batch.quality, batch.gps)
            for each in formats
        }

    @cached_property
    def recipes_by_digest(self) -> Mapping[str, Recipe]:
        """The same recipes, as tasks name them."""
        return {recipe.digest: recipe for recipe in self.recipes.values()}

    @property
    def has_work(self) -> bool:
        """Whether a run has something to record; known once the input is listed."""
        return not self.retry_failed or self.listing.retried > 0

    def items(self) -> Iterator[Item]:
        """List the batch's input, and yield each image as a task or as its outcome.

        Folders that cannot be listed are outcomes too.

        Raises:
            StorageError: the input or the output cannot be listed, or the record of the last run
                cannot be read.
        """
        batch = self.batch
        results = Results(batch.output)
        self.listing = listing = Listing(recovered=results.recovered, notes=results.notes)
        earlier = self._earlier() if self.retry_failed else None
        for image in inputs.list_images(batch.input, batch.exclude, listing.passed_over):
            listing.closed_folders += image.is_folder
            if earlier is not None:
                before = earlier.get(image.relative) or earlier.get(image.path)
                if not _has_failed(image, before, earlier):
                    if before is not None:
                        output = self._task(image).output if before.output else ""
                        yield dataclasses.replace(before, input=image.path, output=output)
                    continue
                listing.retried += 1
            yield self._item(image, results, listing)

    def _item(self, image: inputs.FoundImage, results: Results, listing: Listing) -> Item:
        """Return an image as a task or as its outcome."""
        if image.is_folder:
            name = self.batch.name
            return Outcome(name, image.path, "", "failed", "", 0.0, error=image.mistake)
        task = self._task(image)
        if image.mistake:
            refused = task.outcome("failed", 0.0, error=image.mistake)
            return dataclasses.replace(refused, output="")
        if mistake := storage.mistake_in(task.output):
            return task.outcome("failed", 0.0, error=f"It cannot be written: {mistake}.")
        if mistake := results.mistake_at(task.output):
            return task.outcome("failed", 0.0, error=mistake)
        # Popped, since an archive's results are many and are needed once.
        result = results.of.pop(task.output, None)
        item = decide(task, image.version, result, self.batch.overwrite)
        if result and has_old_stamp(result, task.recipe, image.path, image.version):
            listing.old_stamps = True
        return item

    def _earlier(self) -> dict[str, Outcome]:
        """Return the outcomes of the batch in the last run, by relative path of the input.

        Raises:
            StorageError: the record of the last run cannot be read.
        """
        batch = self.batch
        note = self.listing.notes.append
        recorded_outcomes = ledger.read_outcomes(batch.output, note)
        outcomes = [each for each in recorded_outcomes if each.batch == batch.name]
        recorded = {
            each["name"]: each.get("input", batch.input)
            for each in ledger.read_run(batch.output, note)
        }
        # The input may have been moved since.
        folder, _ = inputs.pattern_of(recorded.get(batch.name, batch.input))
        return {inputs.relative_to(folder, each.input): each for each in outcomes}

    def _task(self, image: inputs.FoundImage) -> Task:
        batch = self.batch
        return task_for(
            image.path,
            image.relative,
            image.version,
            batch=batch.name,
            output=batch.output,
            image_format=batch.format,
            recipes=self.recipes,
            keep_time=batch.keep_times,
        )


def _has_failed(
    image: inputs.FoundImage, before: Outcome | None, earlier: Mapping[str, Outcome]
) -> bool:
    """Return whether an image failed in the last run, or a folder that it is in."""
    if before is not None:
        return before.status == "failed"
    above = PurePosixPath(image.relative).parents
    return any((folder := earlier.get(str(each))) and not folder.recipe for each in above)


def resolve(
    config: RunConfig, problems: Problems, retry_failed: bool = False, once: Once | None = None
) -> list[BatchPlan]:
    """Return a plan for each batch of a config; for `load_and_resolve`.

    Args:
        config: a valid config.
        problems: collects what is wrong with the folders and files that the config names.
        retry_failed: do only what failed in the last run.
        once: remembers files from one config to the next.

    Returns:
        The plans; none if there are problems, since weights are not worth a download then.
    """
    once = once or Once()
    storage.set_deadline(config.run.storage_deadline)
    _check_folders(config, problems)
    for position, batch in enumerate(config.batches):
        for name, options in batch.sections.items():
            if options is None or name not in {batch.method, *batch.model_fields_set}:
                continue
            try:
                options.check_files(once)
            except MethodError as error:
                location = (error.option,) if error.option else ()
                here = problems.at("batches", position, name)
                here.add(location, str(error), [(other,) for other in error.beside])
    if problems:
        return []
    plans = []
    for position, batch in enumerate(config.batches):
        try:
            resolved = batch.options.resolve(batch.sections, once)
            if count := batch.options.photos_wanted:
                resolved = resolved.adapted_to(_first_photos(batch, count))
        except (WeightsUnavailableError, MethodError, storage.StorageError) as error:
            problems.at("batches", position, batch.method).add((), str(error))
            continue
        plans.append(BatchPlan(batch, resolved, retry_failed))
    return plans


def _first_photos(batch: Batch, count: int) -> list[KnownFile]:
    """Return the photos of a batch that come first by their paths."""
    images = inputs.list_images(batch.input, batch.exclude)
    found = (image.path for image in images if image.mistake is None)
    return [known_photo(path) for path in heapq.nsmallest(count, found)]


def _check_folders(config: RunConfig, problems: Problems) -> None:
    """Check the inputs and outputs of the batches, each by itself and beside the others."""
    readable, writable = [], []
    for position, batch in enumerate(config.batches):
        here = problems.at("batches", position)
        if mistake := storage.mistake_in(batch.input) or inputs.mistake_in(batch.input):
            here.add(("input",), mistake)
        else:
            readable.append((here, batch))
        if mistake := storage.mistake_in_output(batch.output):
            here.add(("output",), mistake)
        else:
            writable.append(batch)
    # Requests are worth their time only for a config that is valid otherwise.
    listed = [] if problems else [each for each in readable if storage.is_remote(each[1].input)]
    for here, batch in listed:
        if missing := inputs.missing_from_bucket(batch.input):
            here.add(("input",), missing)
    by_folder = _by_folder(writable)
    for here, batch in readable:
        start, _ = inputs.pattern_of(batch.input)
        for other in by_folder.get(storage.folder_identities(start or ".")[-1], ()):
            if inputs.includes(batch.input, other.output):
                here.add(("input",), _included(batch, other))


def _by_folder(batches: Iterable[Batch]) -> Mapping[str, list[Batch]]:
    """Return the batches that write to a folder or below it, by the folder's identity.

    With it, thousands of batches need not be compared each with each.
    """
    found: dict[str, list[Batch]] = defaultdict(list)
    for batch in batches:
        for identity in storage.folder_identities(batch.output):
            found[identity].append(batch)
    return found


def _included(batch: Batch, other: Batch) -> str:
    """Return the sentence about a batch whose input includes another batch's output."""
    return (
        f"{batch.input} includes {other.output}, where batch {other.name} writes; write to a folder"
        " outside the input, so that nothing is overwritten and no result is stylized again"
    )


def survey(
    plans: Sequence[BatchPlan], keep: Callable[[BatchPlan, Item], None] = lambda *_: None
) -> Counts:
    """List the inputs, once each, and check that no two images meet.

    Args:
        plans: the batches.
        keep: receives each image as it is found.

    Raises:
        ConfigError: two images would be written to one place, or one over an input.
        StorageError: an input or an output cannot be listed.
    """
    counts: dict[str, Counter[Status | None]] = {}
    places = Places()
    for batch_plan in plans:
        batch = batch_plan.batch
        counts[batch.name] = Counter()
        for item in batch_plan.items():
            keep(batch_plan, item)
            counts[batch.name][item.status if isinstance(item, Outcome) else None] += 1
            places.add(batch.name, item.input, item.output)
    mistakes = places.mistakes + places.overwritten()
    by_folder = _by_folder(each.batch for each in plans)
    included = (
        _included(each.batch, other)
        for each in plans
        for folder in places.folders_read(each.batch.name, each.batch.input) & by_folder.keys()
        for other in by_folder[folder]
    )
    mistakes += sorted(set(included))
    if len(mistakes) > _MISTAKES_SHOWN:
        mistakes[_MISTAKES_SHOWN:] = [f"... and {len(mistakes) - _MISTAKES_SHOWN} more like these"]
    if mistakes:
        raise ConfigError(mistakes)
    return counts


def total(counts: Counts) -> int:
    """Return how many images a run has, including those that are decided already."""
    return sum(found.total() for found in counts.values())


def recipes_of(plans: Iterable[BatchPlan]) -> dict[str, Recipe]:
    """Return the recipes of all batches by their digests."""
    return {digest: recipe for each in plans for digest, recipe in each.recipes_by_digest.items()}


def output_folders(plans: Iterable[BatchPlan]) -> dict[str, str]:
    """Return the output folder of each batch, by name; each folder written in one way."""
    return {each.batch.name: storage.real_path(each.batch.output) for each in plans}
