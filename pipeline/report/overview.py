"""Sums up the outcomes of a folder, batch by batch."""

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from stylebeam.pipeline.archive.records import Outcome, Status


@dataclass
class Overview:
    """What became of a batch.

    Attributes:
        name: the batch's name.
        counts: of its images, by status.
        seconds: that workers spent on all of them.
        times: seconds for each that was done, in no order.
        slowest: of those, the seconds and the input; None if none was done.
        not_begun: how many images a run that was stopped had not begun with, by the reason; these
            are among the skipped.
        pictures: the inputs that have an output, in order.
        failures: the inputs that failed, in order.
    """

    name: str
    counts: Counter[Status] = field(default_factory=Counter)
    seconds: float = 0.0
    times: "array[float]" = field(default_factory=lambda: array("d"))
    slowest: tuple[float, str] | None = None
    not_begun: Counter[str] = field(default_factory=Counter)
    pictures: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def was_up_to_date(self) -> bool:
        """Whether there were images, and nothing to do."""
        return 0 < len(self.pictures) == self.counts["skipped"] == self.counts.total()

    def add(self, outcome: Outcome) -> None:
        """Count an outcome of this batch."""
        self.counts[outcome.status] += 1
        self.seconds += outcome.seconds
        if outcome.status == "failed":
            self.failures.append(outcome.input)
        elif (reason := outcome.reason_left_out) is not None:
            self.not_begun[reason] += 1
        else:
            self.pictures.append(outcome.input)
        if outcome.status == "done":
            self.times.append(outcome.seconds)
            self.slowest = max(self.slowest or (0.0, ""), (outcome.seconds, outcome.input))


def sum_up(names: Iterable[str], outcomes: Iterable[Outcome]) -> list[Overview]:
    """Sum up outcomes; of each are kept some bytes alone.

    Args:
        names: of the batches.
        outcomes: of these batches, in any order.

    Returns:
        one overview a batch, in the order of the names.
    """
    overviews = {name: Overview(name) for name in names}
    for outcome in outcomes:
        overviews[outcome.batch].add(outcome)
    for overview in overviews.values():
        overview.pictures.sort()
        overview.failures.sort()
    return list(overviews.values())
