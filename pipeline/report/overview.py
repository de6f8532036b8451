"""Summarizes the outcomes in an output folder, one overview per batch."""

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from stylebeam.pipeline.archive.records import Outcome, Status


@dataclass
class Overview:
    """Summary of a batch's outcomes.

    Attributes:
        name: name of the batch.
        counts: number of images by status.
        seconds: total time that workers spent on the images.
        times: seconds for each image that was done, unordered.
        slowest: seconds and input of the slowest image that was done; None if none was done.
        not_started: number of images that a stopped run did not start, by reason. They also count
            as skipped.
        pictures: inputs that have an output, sorted.
        failures: inputs that failed, sorted.
    """

    name: str
    counts: Counter[Status] = field(default_factory=Counter)
    seconds: float = 0.0
    times: "array[float]" = field(default_factory=lambda: array("d"))
    slowest: tuple[float, str] | None = None
    not_started: Counter[str] = field(default_factory=Counter)
    pictures: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def was_up_to_date(self) -> bool:
        """Whether the batch had images and none of them had to be done."""
        return 0 < len(self.pictures) == self.counts["skipped"] == self.counts.total()

    def add(self, outcome: Outcome) -> None:
        """Add an outcome of this batch."""
        self.counts[outcome.status] += 1
        self.seconds += outcome.seconds
        if outcome.status == "failed":
            self.failures.append(outcome.input)
        elif (reason := outcome.reason_not_started) is not None:
            self.not_started[reason] += 1
        else:
            self.pictures.append(outcome.input)
        if outcome.status == "done":
            self.times.append(outcome.seconds)
            self.slowest = max(self.slowest or (0.0, ""), (outcome.seconds, outcome.input))


def summarize(names: Iterable[str], outcomes: Iterable[Outcome]) -> list[Overview]:
    """Return an overview of each batch, keeping only a few bytes per outcome.

    Args:
        names: names of the batches.
        outcomes: in any order; outcomes of other batches are left out.

    Returns:
        One overview per batch, in the order of the names.
    """
    overviews = {name: Overview(name) for name in names}
    for outcome in outcomes:
        if outcome.batch in overviews:
            overviews[outcome.batch].add(outcome)
    for overview in overviews.values():
        overview.pictures.sort()
        overview.failures.sort()
    return list(overviews.values())
