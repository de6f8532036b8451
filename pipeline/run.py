"""A whole run: plan it, build the pipeline, run it, and say what came out."""

import os
from collections import Counter
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from pipeline import ledger
from pipeline.config import RunConfig
from pipeline.config_file import ConfigError, nearest
from pipeline.model_handler import METRICS_NAMESPACE, NETWORKS_LOADED, StylizeModelHandler
from pipeline.planning import BatchPlan
from pipeline.records import Outcome, Status
from pipeline.stylize import Handler, Stylize

_FAILURES_KEPT = 10
# The DirectRunner would first try to download another engine.
_LOCAL_RUNNER = "FnApiRunner"


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
    outputs = {batch_plan.batch.name: batch_plan.batch.output for batch_plan in plans}
    outcomes | "Record" >> ledger.WriteOutcomes(outputs)
    return outcomes


def run(config: RunConfig, plans: list[BatchPlan], options: PipelineOptions) -> RunSummary:
    """Run a planned config and wait until it is done.

    Args:
        config: the config.
        plans: what `planning.plan` made of it.
        options: Beam's.

    Raises:
        RunFailedError: the pipeline did not finish.
        StorageError: the record of the outcomes cannot be read back.
    """
    try:
        pipeline = beam.Pipeline(options=options)
        handler = StylizeModelHandler(config.run.device, _threads_per_process(options))
        build(pipeline, plans, handler, config.run.max_pixels)
        result = pipeline.run()
        state = result.wait_until_finish()
    except Exception as error:  # What a runner raises is its own affair.
        raise RunFailedError(f"The run stopped: {_last_line(error)}") from error
    if state != PipelineState.DONE:
        raise RunFailedError(f"The run ended in the state {state}.")
    return RunSummary(_summaries(plans), _networks_loaded(result))


def beam_options(flags: list[str]) -> PipelineOptions:
    """Return Beam's options from command-line flags, with the FnApiRunner unless one is named.

    Raises:
        ConfigError: a flag is unknown. (Of a remote runner only that runner knows all flags.)
    """
    options = PipelineOptions(flags)
    standard = options.view_as(StandardOptions)
    standard.runner = standard.runner or _LOCAL_RUNNER
    if is_local(options):
        known = {f"--{name}" for name in options.get_all_options()}
        given = {f"--{name}" for name in options.get_all_options(retain_unknown_options=True)}
        stray = [
            flag
            for before, flag in zip(["", *flags], flags, strict=False)
            if not flag.startswith("-") and (not before.startswith("--") or "=" in before)
        ]
        mistakes = [f"there is no option {name}{nearest(name, known)}" for name in given - known]
        mistakes += [f"{word} is one word too many" for word in stray]
        if mistakes:
            raise ConfigError(mistakes)
    return options


def is_local(options: PipelineOptions) -> bool:
    """Whether the run's workers are on this machine."""
    return options.view_as(StandardOptions).runner in StandardOptions.LOCAL_RUNNERS


def _threads_per_process(options: PipelineOptions) -> int | None:
    """Share the cores among the worker processes of this machine, where there are several."""
    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode != "multi_processing":
        return None
    cores = os.cpu_count() or 1
    return max(1, cores // (direct.direct_num_workers or cores))


def _summaries(plans: list[BatchPlan]) -> tuple[BatchSummary, ...]:
    """Sum up the outcomes that the run recorded. (Any runner writes them; few report metrics.)"""
    summaries = {
        batch_plan.batch.name: BatchSummary(
            batch_plan.batch.name, batch_plan.batch.output, Counter(), []
        )
        for batch_plan in plans
    }
    for output in {batch_plan.batch.output for batch_plan in plans}:
        for outcome in ledger.read_outcomes(output):
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
    except NotImplementedError:
        return None
    return sum(counter.result or 0 for counter in counters)


def _last_line(error: Exception) -> str:
    """Return the last line of an error: runners put the worker's whole traceback before it."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
