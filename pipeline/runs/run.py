"""A run: build its pipeline, run it, and sum up what came out."""

import contextlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from stylebeam.pipeline.archive import ledger
from stylebeam.pipeline.archive.records import Outcome, Status
from stylebeam.pipeline.archive.results import tidy
from stylebeam.pipeline.beam.model_handler import (
    METRICS_NAMESPACE,
    NETWORKS_LOADED,
    StylizeModelHandler,
)
from stylebeam.pipeline.beam.options import is_local, runner_of, worker_processes
from stylebeam.pipeline.beam.stylize import Handler, Limits, Stylize
from stylebeam.pipeline.config.run_config import RunOptions
from stylebeam.pipeline.runs.display import Display
from stylebeam.pipeline.runs.planning import BatchPlan, output_folders
from stylebeam.pipeline.runs.progress import Tally
from stylebeam.pipeline.runs.stopping import StopSign, stopped_by_signals

_FAILURES_KEPT = 10


class RunFailedError(Exception):
    """The pipeline as a whole did not finish; the message says why."""


@dataclass
class BatchSummary:
    """What became of a batch.

    Attributes:
        name: the batch's name.
        output: its output folder.
        counts: of its images, by status.
        failures: the first few failed outcomes.
        left_out: how many a run that was stopped had not begun with; they are among the skipped.
    """

    name: str
    output: str
    counts: Counter[Status]
    failures: list[Outcome]
    left_out: int = 0


@dataclass(frozen=True)
class RunSummary:
    """What became of a run.

    Attributes:
        batches: what became of each.
        seconds: that it took.
        networks_loaded: how often a worker loaded a network; None if the runner does not say.
        stopped: why the run was stopped before its end; None if it was not.
    """

    batches: tuple[BatchSummary, ...]
    seconds: float
    networks_loaded: int | None
    stopped: str | None = None

    @property
    def failed(self) -> int:
        """How many images failed."""
        return sum(batch.counts["failed"] for batch in self.batches)


def build(
    pipeline: beam.Pipeline,
    plans: list[BatchPlan],
    handler: Handler,
    limits: Limits,
    sign: StopSign,
    tally: Tally | None,
) -> beam.PCollection[Outcome]:
    """Add a run's steps to a pipeline and return the outcomes.

    The inputs are listed within the pipeline, so that its graph is small however large the
    archive is. (MatchFiles would lose which batch a file belongs to.)
    """
    outcomes = (
        pipeline
        | "Batches" >> beam.Create(plans)
        | "List" >> beam.FlatMap(lambda batch_plan: batch_plan.work())
        | "Stylize" >> Stylize(handler, limits, sign, tally)
    )
    outcomes | "Record" >> ledger.WriteOutcomes(output_folders(plans))
    return outcomes


def run_pipeline(
    run_options: RunOptions,
    plans: list[BatchPlan],
    images: int,
    beam_options: PipelineOptions,
    display: Display,
) -> RunSummary:
    """Run a planned config and wait until it is done.

    Args:
        run_options: what the config says of the run as a whole.
        plans: its batches.
        images: how many they have.
        beam_options: the runner and its options.
        display: shows the run, if its workers are on this machine.

    Raises:
        RunFailedError: the pipeline did not finish.
        StorageError: an output folder cannot be written to, or its record not be read back.
    """
    _prepare_outputs(plans)
    limits = Limits(run_options.max_pixels, run_options.storage_deadline)
    handler = StylizeModelHandler(
        run_options.device,
        run_options.max_pixels,
        max((each.choice.batch_size for each in plans), default=1),
        run_options.memory_in_bytes,
        worker_processes(beam_options),
        images,
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stylebeam-") as folder:
        sign = StopSign(os.path.join(folder, "sign"), run_options.most_failures(images))
        tally = Tally(folder) if is_local(beam_options) else None
        try:
            pipeline = beam.Pipeline(runner_of(beam_options), beam_options)
            build(pipeline, plans, handler, limits, sign, tally)
            with _attended(display, sign, tally):
                result = pipeline.run()
                state = result.wait_until_finish()
        except Exception as error:  # What a runner raises is its own affair.
            raise RunFailedError(f"The run stopped: {_last_line(error)}") from error
        reason = sign.reason
    if state != PipelineState.DONE:
        raise RunFailedError(f"The run ended in the state {state}.")
    seconds = time.monotonic() - started
    batches = _summaries(plans)
    stopped = None
    # A sign that was put up when all images were under way has stopped nothing.
    if any(batch.left_out for batch in batches):
        # Other machines have signs of their own, which failures alone put up.
        stopped = reason or "too many images failed (max_failures)"
    return RunSummary(batches, seconds, _networks_loaded(result), stopped)


@contextlib.contextmanager
def _attended(display: Display, sign: StopSign, tally: Tally | None) -> Iterator[None]:
    """Within a `with`, show a run and let signals stop it, if it is on this machine."""
    if tally is None:
        yield
        return
    with stopped_by_signals(sign, display.restore_terminal), display.watching(tally, sign):
        yield


def _prepare_outputs(plans: Iterable[BatchPlan]) -> None:
    """Clear what killed runs left in the output folders, and record what is to be written there."""
    folders = output_folders(plans)
    for folder in sorted(set(folders.values())):
        batches = [
            {
                **each.batch.model_dump(mode="json", exclude_none=True),
                "weights": each.choice.weights,
            }
            for each in plans
            if folders[each.batch.name] == folder
        ]
        ledger.write_run(folder, batches)
        tidy(folder)


def _summaries(plans: list[BatchPlan]) -> tuple[BatchSummary, ...]:
    """Sum up the outcomes that the run recorded. (Any runner writes them; few report metrics.)"""
    summaries = {
        batch_plan.batch.name: BatchSummary(
            batch_plan.batch.name, batch_plan.batch.output, Counter(), []
        )
        for batch_plan in plans
    }
    for folder in set(output_folders(plans).values()):
        for outcome in ledger.read_outcomes(folder):
            summary = summaries[outcome.batch]
            summary.counts[outcome.status] += 1
            summary.left_out += outcome.reason_left_out is not None
            if outcome.status == "failed" and len(summary.failures) < _FAILURES_KEPT:
                summary.failures.append(outcome)
    return tuple(summaries.values())


def _networks_loaded(result: PipelineResult) -> int | None:
    """Return the metric, or None from a runner that does not report it."""
    wanted = MetricsFilter().with_namespace(METRICS_NAMESPACE).with_name(NETWORKS_LOADED)
    try:
        counters = result.metrics().query(wanted)["counters"]
    except NotImplementedError:  # So Beam's results answer whose runners keep no metrics.
        return None
    return sum(counter.result or 0 for counter in counters)


def _last_line(error: Exception) -> str:
    """Return the last line of an error: runners put the worker's whole traceback before it."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
