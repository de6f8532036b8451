"""What became of a run and of its batches, from the outcomes that it recorded."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from stylebeam.pipeline.archive import ledger
from stylebeam.pipeline.archive.passed_over import PassedOver
from stylebeam.pipeline.archive.records import Outcome, Status
from stylebeam.pipeline.runs import planning
from stylebeam.pipeline.runs.planning import BatchPlan

_FAILURES_KEPT = 10


@dataclass
class BatchSummary:
    """What became of a batch.

    Attributes:
        name: the batch's name.
        output: its output folder.
        counts: how many images, by status.
        failures: the first few failed outcomes.
        not_started: how many images a run that was stopped had not started; they are among the
            skipped.
        passed_over: what the input holds beside images.
    """

    name: str
    output: str
    counts: Counter[Status]
    failures: list[Outcome]
    not_started: int = 0
    passed_over: PassedOver = field(default_factory=PassedOver)


@dataclass(frozen=True)
class RunSummary:
    """What became of a run.

    Attributes:
        batches: what became of each batch.
        seconds: how long the run took.
        networks_loaded: how many times a worker loaded a network; None if the runner does not say.
        stopped: why the run was stopped before its end; None if it was not.
        unwritten_reports: a sentence for each report that could not be written.
    """

    batches: tuple[BatchSummary, ...]
    seconds: float
    networks_loaded: int | None
    stopped: str | None = None
    unwritten_reports: tuple[str, ...] = ()

    @classmethod
    def of_nothing(cls, plans: Sequence[BatchPlan]) -> "RunSummary":
        """Return the summary of a run that had nothing to do, and started nothing."""
        return cls(tuple(map(_empty_summary, plans)), 0.0, 0)

    @property
    def failed(self) -> int:
        """How many images failed."""
        return sum(batch.counts["failed"] for batch in self.batches)


def summarize(plans: Sequence[BatchPlan]) -> tuple[BatchSummary, ...]:
    """Sum up the outcomes that the run recorded. (Any runner writes them; few report metrics.)"""
    summaries = {batch_plan.batch.name: _empty_summary(batch_plan) for batch_plan in plans}
    for folder in set(planning.output_folders(plans).values()):
        for outcome in ledger.read_outcomes(folder):
            summary = summaries.get(outcome.batch)
            if summary is None:
                continue
            summary.counts[outcome.status] += 1
            summary.not_started += outcome.reason_not_started is not None
            if outcome.status == "failed" and len(summary.failures) < _FAILURES_KEPT:
                summary.failures.append(outcome)
    return tuple(summaries.values())


def _empty_summary(batch_plan: BatchPlan) -> BatchSummary:
    batch = batch_plan.batch
    passed_over = batch_plan.listing.passed_over
    return BatchSummary(batch.name, batch.output, Counter(), [], passed_over=passed_over)
