"""Counts what happened in a soak, and prints it."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, get_args

from benchmarks.soak.checker import Finding, Kind


class Found(NamedTuple):
    """A finding, and the round in which it was found."""

    round: int
    finding: Finding


class Table:
    """The counts of a soak.

    Attributes:
        rounds: how many rounds have ended.
        runs: how many runs of the command have ended.
        disturbances: how many runs each disturbance has disturbed.
        changes: how often the archive was changed in each way.
        statuses: how many photos were done, skipped and failed.
        bad_photos: how many broken and poisoned photos runs have met, by kind.
        found: what must not be.
    """

    def __init__(self, repeat: str) -> None:
        """Start with zeros.

        Args:
            repeat: the command that repeats this soak, without its number of rounds.
        """
        self.rounds = self.runs = 0
        self.disturbances: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.bad_photos: Counter[str] = Counter()
        self.found: list[Found] = []
        self._repeat = repeat

    def lines(self) -> Iterator[str]:
        """Yield the lines of the table, in Markdown."""
        yield "| what | count |"
        yield "| --- | --- |"
        yield f"| rounds | {self.rounds} |"
        yield f"| runs of the command | {self.runs} |"
        for status in ("done", "skipped", "failed"):
            yield f"| images {status} | {self.statuses[status]} |"
        for title, counts in (
            ("run disturbed", self.disturbances),
            ("change", self.changes),
            ("bad photo met", self.bad_photos),
        ):
            for name, count in sorted(counts.items()):
                yield f"| {title}: {name} | {count} |"
        kinds = Counter(each.finding.kind for each in self.found)
        for kind in get_args(Kind):
            yield f"| **{kind}** | {kinds[kind]} |"
        if self.found:
            yield ""
        for number, finding in self.found:
            yield f"- round {number}: {finding.kind}: {finding.words}"
        if self.found:
            last = max(number for number, _ in self.found)
            yield f"\nTo repeat them: {self._repeat} --rounds {last}"
