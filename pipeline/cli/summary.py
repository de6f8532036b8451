"""What a run will do, and what it has done, as people and programs read it."""

import json
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stylebeam.pipeline.archive.ledger import outcomes_path, report_path
from stylebeam.pipeline.archive.records import STATUSES, Status
from stylebeam.pipeline.runs.estimate import Estimate
from stylebeam.pipeline.runs.planning import BatchPlan, Counts
from stylebeam.pipeline.runs.run import BatchSummary, RunSummary
from stylebeam.pipeline.wording import duration
from stylebeam.transforms.images.formats import FORMAT_OF_EXTENSION

_LEFT_OUT: tuple[tuple[Status, str], ...] = (("skipped", "up to date"), ("failed", "refused"))


def plan_lines(plans: Sequence[BatchPlan], counts: Counts) -> Iterator[str]:
    """Say what will be done.

    Args:
        plans: the batches.
        counts: how many images each has.
    """
    for batch_plan in plans:
        batch, found = batch_plan.batch, counts[batch_plan.batch.name]
        left_out = [f"{found[status]} {what}" for status, what in _LEFT_OUT if found[status]]
        yield (
            f"{batch.name}: {found.total()} images in {batch.input}, {batch.method}"
            f" {batch.options}, to {batch.output}"
            + (f"; {', '.join(left_out)}, {found[None]} to do" if left_out else "")
        )
        if not found:
            yield no_images_line(batch.input)


def estimate_lines(estimates: Mapping[str, Estimate]) -> Iterator[str]:
    """Say what a run would take.

    Args:
        estimates: by the batch's name.
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
    """Say that there is nothing to do.

    Args:
        folder: the batch's input.
    """
    extensions = ", ".join(FORMAT_OF_EXTENSION)
    return f"  {folder} holds no images (looked for {extensions}): nothing to do."


def print_summary(summary: RunSummary, console: Console) -> None:
    """Say what became of a run: in a table, if the console is a terminal, else in lines."""
    if console.is_terminal:
        console.print(_table(summary))
    for batch in summary.batches:
        if not console.is_terminal:
            print(f"{batch.name}: {_counted(batch)}; outputs in {batch.output}")
        elif batch.failures:
            print(f"{batch.name}:")
        for outcome in batch.failures:
            print(f"  failed: {outcome.input}: {outcome.error}")
        if batch.counts["failed"] > len(batch.failures):
            print(f"  ... the others are in {outcomes_path(batch.output)}")
    loaded = summary.networks_loaded
    print(f"Style networks loaded: {'not known from this runner' if loaded is None else loaded}.")
    print(f"Took {duration(summary.seconds)}.")


def report_lines(summary: RunSummary) -> Iterator[str]:
    """Say where to look at what became of a run."""
    yield "Look at what became of each image:"
    for output in sorted({batch.output for batch in summary.batches}):
        yield f"  {report_path(output)}"


def to_json(summary: RunSummary) -> str:
    """Return what became of a run as a JSON object, on a line."""
    batches = [
        {
            "name": batch.name,
            "output": batch.output,
            **{status: batch.counts[status] for status in STATUSES},
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
        table.add_row(Text(batch.name), *counts, Text(batch.output), style=style)
    return table
