"""Describes what a run will do and what it has done, for people and for programs."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stylebeam.pipeline.archive.ledger import outcomes_path, report_path
from stylebeam.pipeline.archive.records import STATUSES, Outcome, Status
from stylebeam.pipeline.runs.estimate import Estimate
from stylebeam.pipeline.runs.excerpts import Excerpts
from stylebeam.pipeline.runs.planning import BatchPlan, Counts, Item, Listing
from stylebeam.pipeline.runs.run_summary import BatchSummary, RunSummary
from stylebeam.pipeline.terminal import say, visible
from stylebeam.pipeline.wording import counted, duration
from stylebeam.transforms.images.formats import FORMAT_OF_EXTENSION

_REFUSED_SHOWN = 10
_LEFT_OUT: tuple[tuple[Status, str], ...] = (("skipped", "up to date"), ("failed", "refused"))


def plan_lines(plans: Sequence[BatchPlan], counts: Counts) -> Iterator[str]:
    """Yield lines that say what a run will do.

    Args:
        plans: the batches.
        counts: how many images each batch has.
    """
    for batch_plan in plans:
        batch, listing = batch_plan.batch, batch_plan.listing
        if not batch_plan.has_work:
            yield f"{batch.name}: nothing to retry: no image failed in the last run."
            continue
        found = images_only(batch_plan, counts)
        images = counted(found.total(), "image")
        left_out = [f"{found[status]} {what}" for status, what in _LEFT_OUT if found[status]]
        if batch_plan.retry_failed:
            images, left_out = f"{counted(listing.retried, 'failure')} to retry", []
        yield (
            f"{batch.name}: {images} in {batch.input}, {batch.method} {batch.options}, to"
            f" {batch.output}"
            + (f"; {', '.join(left_out)}, {found[None]} to do" if left_out else "")
        )
        if not found:
            yield no_images_line(batch.input)
        yield from beside_images_lines(listing)
    yield from record_lines(plans)


def record_lines(plans: Sequence[BatchPlan]) -> Iterator[str]:
    """Yield lines that say what is lost or damaged in the records of earlier runs, each once."""
    notes = [note for each in plans for note in each.listing.notes]
    for note in dict.fromkeys(notes):
        yield f"  {note}"


def images_only(batch_plan: BatchPlan, counts: Counts) -> Counter[Status | None]:
    """Return the counts of a batch without the folders that cannot be listed."""
    found = counts[batch_plan.batch.name].copy()
    found["failed"] -= batch_plan.listing.closed_folders
    return +found


def beside_images_lines(listing: Listing) -> Iterator[str]:
    """Yield lines that say what an input holds beside images that can be read."""
    if words := str(listing.passed_over):
        yield f"  {words}"
    if listing.closed_folders:
        yield f"  {counted(listing.closed_folders, 'folder')} cannot be listed"


class Refused:
    """The images and folders that a run would refuse; the first few are kept."""

    def __init__(self) -> None:
        self._first: list[Outcome] = []
        self._count = 0

    def add(self, batch_plan: BatchPlan, item: Item) -> None:
        """Record an item of a plan if it is refused."""
        if isinstance(item, Outcome) and item.status == "failed":
            self._count += 1
            if len(self._first) < _REFUSED_SHOWN:
                self._first.append(item)

    def lines(self) -> Iterator[str]:
        """Yield lines that say what is refused, and why."""
        for outcome in self._first:
            yield f"  refused: {outcome.input}: {outcome.error}"
        if self._count > len(self._first):
            yield f"  ... and {self._count - len(self._first)} more"


def tried_lines(name: str, few: Excerpts) -> Iterator[str]:
    """Yield lines that say which photos of a batch were tried and cannot be read.

    Args:
        name: of the batch.
        few: the photos that were tried.
    """
    for task, reason in few.unreadable:
        yield f"{name}: {task.input} cannot be used: {reason}"
    if few.to_do and not few.found:
        yield f"{name}: none of the photos that were tried can be read."


def estimate_lines(estimates: Mapping[str, Estimate]) -> Iterator[str]:
    """Yield lines that say how long a run would take.

    Args:
        estimates: estimate of each batch, by name.
    """
    for name, each in estimates.items():
        yield f"{name}: {_amount(each)}"
    if len(estimates) > 1:
        pixels, seconds = (sum(values) for values in zip(*estimates.values(), strict=True))
        yield f"All batches: {_amount(Estimate(pixels, seconds))}"


def _amount(estimate: Estimate) -> str:
    return (
        f"{estimate.pixels / 1e6:,.1f} megapixels to do, about {duration(estimate.seconds)} on this"
        " machine."
    )


def no_images_line(folder: str) -> str:
    """Return a line that says that an input contains no images.

    Args:
        folder: the input of the batch.
    """
    extensions = ", ".join(FORMAT_OF_EXTENSION)
    return f"  {folder} contains no images (looked for {extensions}): nothing to do."


def print_summary(summary: RunSummary, console: Console) -> None:
    """Print the results of a run: a table on a terminal, otherwise lines of text."""
    if console.is_terminal:
        console.print(_table(summary))
    for batch in summary.batches:
        if not console.is_terminal:
            say(f"{batch.name}: {_counted(batch)}; outputs in {batch.output}")
        elif batch.failures or str(batch.passed_over):
            say(f"{batch.name}:")
        if words := str(batch.passed_over):
            say(f"  {words}")
        for outcome in batch.failures:
            say(f"  failed: {outcome.input}: {outcome.error}")
        if batch.counts["failed"] > len(batch.failures):
            say(f"  ... the other failures are in {outcomes_path(batch.output)}")
    loaded = summary.networks_loaded
    say(f"Networks loaded: {'unknown, the runner does not say' if loaded is None else loaded}.")
    say(f"Took {duration(summary.seconds)}.")


def report_lines(summary: RunSummary) -> Iterator[str]:
    """Yield lines that say where the reports of a run are."""
    yield "Reports:"
    for output in sorted({batch.output for batch in summary.batches}):
        yield f"  {report_path(output)}"


def to_json(summary: RunSummary) -> str:
    """Return the results of a run as a JSON object, on one line."""
    batches = [
        {
            "name": batch.name,
            "output": batch.output,
            **{status: batch.counts[status] for status in STATUSES},
            **batch.passed_over.as_json(),
            "outcomes": outcomes_path(batch.output),
            "report": report_path(batch.output),
        }
        for batch in summary.batches
    ]
    return json.dumps(
        {
            "batches": batches,
            "seconds": round(summary.seconds, 1),
            "networks_loaded": summary.networks_loaded,
            "stopped": summary.stopped,
        }
    )


def _counted(batch: BatchSummary) -> str:
    return ", ".join(
        f"{batch.counts[status]} {status}"
        for status in STATUSES
        if batch.counts[status] or status != "skipped"
    )


def _table(summary: RunSummary) -> Table:
    table = Table()
    table.add_column("batch", overflow="fold")
    for status in STATUSES:
        table.add_column(status, justify="right")
    table.add_column("outputs", overflow="fold")
    for batch in summary.batches:
        counts = [str(batch.counts[status]) for status in STATUSES]
        style = "red" if batch.counts["failed"] else None
        table.add_row(Text(visible(batch.name)), *counts, Text(visible(batch.output)), style=style)
    return table
