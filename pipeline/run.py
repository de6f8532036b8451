"""A run: build its pipeline, run it, and sum up what came out."""

from collections import Counter
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from pipeline import ledger
from pipeline.beam_options import threads_per_process
from pipeline.config import RunOptions
from pipeline.model_handler import METRICS_NAMESPACE, NETWORKS_LOADED, StylizeModelHandler
from pipeline.planning import BatchPlan
from pipeline.records import Outcome, Status
from pipeline.stylize import Handler, Stylize

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
    """

    name: str
    output: str
    counts: Counter[Status]
    failures: list[Outcome]


@dataclass(frozen=True)
class RunSummary:
    """What became of a run: its batches, and how often a worker loaded a style network."""

    batches: tuple[BatchSummary, ...]
    networks_loaded: int | None

    @property
    def failed(self) -> int:
        """How many images failed."""
        return sum(batch.counts["failed"] for batch in self.batches)


def build(
    pipeline: beam.Pipeline, plans: list[BatchPlan], handler: Handler, max_pixels: int
) -> beam.PCollection[Outcome]:
    """Add a run's steps to a pipeline and return the outcomes.

    The inputs are listed within the pipeline, so that its graph is small however large the
    archive is. (MatchFiles would lose which batch a file belongs to.)
    """
    outcomes = (
        pipeline
        | "Batches" >> beam.Create(plans)
        | "List" >> beam.FlatMap(lambda batch_plan: batch_plan.tasks())
        | "Stylize" >> Stylize(handler, max_pixels)
    )
    outcomes | "Record" >> ledger.WriteOutcomes(ledger.output_folders(plans))
    return outcomes


def run_pipeline(
    run_options: RunOptions, plans: list[BatchPlan], beam_options: PipelineOptions
) -> RunSummary:
    """Run a planned config and wait until it is done.

    Args:
        run_options: what the config says of the run as a whole.
        plans: its batches.
        beam_options: the runner and its options.

    Raises:
        RunFailedError: the pipeline did not finish.
        StorageError: an output folder cannot be written to, or its record not be read back.
    """
    ledger.write_plans(plans)
    try:
        pipeline = beam.Pipeline(options=beam_options)
        handler = StylizeModelHandler(
            run_options.device,
            threads_per_process(beam_options),
            run_options.max_pixels,
            max((each.choice.batch_size for each in plans), default=1),
        )
        build(pipeline, plans, handler, run_options.max_pixels)
        result = pipeline.run()
        state = result.wait_until_finish()
    except Exception as error:  # What a runner raises is its own affair.
        if "KeyboardInterrupt" in str(error):
            # Beam makes an error of its own of an interruption in the midst of a step.
            raise KeyboardInterrupt from error
        raise RunFailedError(f"The run stopped: {_last_line(error)}") from error
    if state != PipelineState.DONE:
        raise RunFailedError(f"The run ended in the state {state}.")
    return RunSummary(_summaries(plans), _networks_loaded(result))


def _summaries(plans: list[BatchPlan]) -> tuple[BatchSummary, ...]:
    """Sum up the outcomes that the run recorded. (Any runner writes them; few report metrics.)"""
    summaries = {
        batch_plan.batch.name: BatchSummary(
            batch_plan.batch.name, batch_plan.batch.output, Counter(), []
        )
        for batch_plan in plans
    }
    for folder in set(ledger.output_folders(plans).values()):
        for outcome in ledger.read_outcomes(folder):
            summary = summaries[outcome.batch]
            summary.counts[outcome.status] += 1
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
