"""Says what is wrong after a run, from the files alone: no code of stylebeam's archive is used."""

import json
import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from benchmarks.soak.archive import Archive
from benchmarks.soak.command import Command
from benchmarks.soak.disturbances import Allowance
from benchmarks.soak.folders import digest
from benchmarks.soak.photos import Photo
from benchmarks.soak.references import References

Kind = Literal["lost", "doubled", "wrong", "unaccounted", "hang"]

_RECORD = "_stylebeam/"
_TEMPORARY = ".stylebeam-"
_TRACEBACK = "Traceback (most recent call last)"


class Finding(NamedTuple):
    """Something that must not be."""

    kind: Kind
    words: str


@dataclass(frozen=True)
class After:
    """What is there after a run.

    Attributes:
        command: the run, which has ended.
        allows: what its disturbance allows.
        before: digests of the files in the output before the run.
        outputs: digests of the files in the output.
        inputs: digests of the photos.
        outcomes: the contents of the record; None if there is none.
        journal: the contents of the journal; None if there is none.
        are_outcomes_new: whether the run has written the record.
        journal_was_lost: whether there were outputs and no journal before the run.
    """

    command: Command
    allows: Allowance
    before: Mapping[str, str]
    outputs: Mapping[str, str]
    inputs: Mapping[str, str]
    outcomes: bytes | None
    journal: bytes | None
    are_outcomes_new: bool
    journal_was_lost: bool = False


class Checker:
    """Checks what is there after each run.

    Attributes:
        statuses: how many photos of the last run were done, skipped and failed.
        given_up: outputs that the last run left alone, though an earlier run wrote them.
    """

    def __init__(self, archive: Archive, references: References) -> None:
        """Make the checker.

        Args:
            archive: what must be.
            references: the right bytes.
        """
        self.statuses: Counter[str] = Counter()
        self.given_up: set[str] = set()
        self._archive = archive
        self._references = references

    def check(self, after: After) -> Iterator[Finding]:
        """Yield what is wrong."""
        self.statuses, self.given_up = Counter(), set()
        yield from self._check_inputs(after)
        yield from self._check_outputs(after)
        command = after.command
        if command.hung:
            yield Finding("hang", command.hung)
        if command.hung or command.killed:
            return
        if _TRACEBACK in command.stderr and not after.allows.silence:
            yield Finding("wrong", f"the run shows a traceback: {_last_line(command.stderr)}")
        if command.summary is not None:
            yield from self._check_run(after, command.summary)
        elif not after.allows.end and not (
            after.allows.stop
            and (after.are_outcomes_new or "stylebeam: interrupted" in command.stderr)
        ):
            yield Finding(
                "lost",
                f"the run ended with exit code {command.code} and without outcomes:"
                f" {_last_line(command.stderr)}",
            )
        elif not after.allows.silence and not command.stderr.strip():
            yield Finding("wrong", f"the run ended with exit code {command.code} without a word")

    def _check_inputs(self, after: After) -> Iterator[Finding]:
        expected = {name: digest(each.data) for name, each in self._archive.photos.items()}
        for name in sorted(expected.keys() | after.inputs.keys()):
            if expected.get(name) != after.inputs.get(name):
                yield Finding("wrong", f"the original {name!a} is not what it was")

    def _check_outputs(self, after: After) -> Iterator[Finding]:
        protected = self._archive.protected
        for name, data in protected.items():
            if after.outputs.get(name) != digest(data):
                what = "overwritten" if name in after.outputs else "removed"
                yield Finding("wrong", f"{name!a}, which no run has written, was {what}")
        for name in sorted(after.before.keys() - after.outputs.keys() - protected.keys()):
            if not name.startswith(_RECORD) and not _is_temporary(name):
                yield Finding("lost", f"the output {name!a} has vanished")
        right = self._right_bytes()
        for name, found in after.outputs.items():
            if name.startswith(_RECORD) or name in protected:
                continue
            if _is_temporary(name):
                # A run that could not start has not removed what a killed one left.
                if after.command.summary is not None:
                    yield Finding("wrong", f"the run left the temporary file {name!a}")
            elif name not in self._archive.ever:
                yield Finding("wrong", f"{name!a} is no output of any photo")
            elif found != after.before.get(name) and found not in right.get(name, ()):
                yield Finding("wrong", f"{name!a} has other bytes than in a calm run")

    def _right_bytes(self) -> dict[str, set[str]]:
        """Return the digests that each output may have, for all versions of its photo."""
        right: dict[str, set[str]] = {}
        for name, versions in self._archive.versions.items():
            output = self._archive.setting.output_of(name)
            right[output] = {self._right(each) for each in versions if each.fault is None}
        return right

    def _right(self, photo: Photo) -> str:
        return self._references.of(photo, self._archive.setting)

    def _check_run(self, after: After, summary: Mapping[str, Any]) -> Iterator[Finding]:
        """Check a run that has said what it did."""
        outcomes = list(_parsed(after.outcomes))
        if None in outcomes:
            yield Finding("wrong", "a line of the outcomes is not JSON")
        by_name: dict[str, dict[str, Any]] = {}
        outputs: Counter[str] = Counter()
        for each in filter(None, outcomes):
            name = str(each["input"]).removeprefix(f"{self._archive.inputs.location}/")
            if name in by_name:
                yield Finding("doubled", f"{name!a} has two outcomes")
            by_name[name] = each
            outputs[each["output"]] += 1
            self.statuses[each["status"]] += 1
        for name, count in outputs.items():
            if count > 1:
                yield Finding("doubled", f"{count} inputs have the output {name!a}")
        yield from self._check_counts(after, summary, by_name)
        stopped = False
        for name, photo in self._archive.photos.items():
            if name in by_name:
                stopped |= by_name[name]["status"] == "skipped" and bool(by_name[name]["error"])
                yield from self._check_photo(after, photo, by_name[name])
        yield from _check_exit_code(after.command, self.statuses, stopped)
        yield from self._check_journal(after, by_name)
        if after.command.leftovers:
            yield Finding("wrong", f"temporary files are left: {after.command.leftovers}")
        if after.journal_was_lost and "journal" not in after.command.stderr + str(by_name):
            yield Finding("wrong", "the journal was lost, and the run does not say so")

    def _check_counts(
        self, after: After, summary: Mapping[str, Any], by_name: Mapping[str, object]
    ) -> Iterator[Finding]:
        # A photo that is removed during a run may be listed or not.
        for name in sorted(self._archive.photos.keys() - by_name.keys()):
            yield Finding("lost", f"{name!a} has no outcome")
        for name in sorted(by_name.keys() - self._archive.versions.keys()):
            yield Finding("unaccounted", f"{name!a} has an outcome and is no photo")
        told = {status: summary.get(status) for status in ("done", "skipped", "failed")}
        recorded = {status: self.statuses[status] for status in told}
        if told != recorded:
            yield Finding("unaccounted", f"the run tells {told}, and has recorded {recorded}")

    def _check_photo(
        self, after: After, photo: Photo, outcome: Mapping[str, Any]
    ) -> Iterator[Finding]:
        status, error, name = outcome["status"], outcome["error"], photo.name
        output = self._archive.output_of(photo)
        if status == "failed" and not error:
            yield Finding("wrong", f"{name!a} failed without a reason")
        elif photo.fault is not None:
            not_started = status == "skipped" and error and after.allows.stop
            if status != "failed" and not not_started:
                yield Finding("wrong", f"{name!a} ({photo.fault}) is {status}")
        elif output in self._archive.protected:
            if status == "done":
                yield Finding("wrong", f"{name!a} is done, but its output is someone else's")
        elif status == "failed":
            if output in self._archive.doubtful:
                self.given_up.add(output)
            elif not after.allows.failures:
                yield Finding("lost", f"{name!a} failed: {error}")
        elif error:
            if not after.allows.stop:
                yield Finding("lost", f"{name!a} is {status}: {error}")
        elif output not in after.outputs:
            yield Finding("lost", f"{name!a} is {status}, and its output is not there")
        elif after.outputs[output] not in self._right_bytes()[output]:
            yield Finding("wrong", f"{name!a} is {status}, and its output has other bytes")

    def _check_journal(
        self, after: After, by_name: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[Finding]:
        """Check that the journal knows all outputs that the run has written."""
        if after.journal is None:
            return
        entries = {str(each["output"]): each for each in _parsed(after.journal)
                   if each and isinstance(each.get("output"), str)}  # fmt: skip
        for name, outcome in by_name.items():
            if outcome["status"] != "done":
                continue
            output = str(outcome["output"]).removeprefix(f"{self._archive.outputs.location}/")
            if entries.get(output, {}).get("stamp") != outcome["stamp"]:
                yield Finding("wrong", f"the journal does not know that {name!a} is done")


def _check_exit_code(
    command: Command, statuses: Mapping[str, int], stopped: bool
) -> Iterator[Finding]:
    lacks_report = "There is no report of this run" in command.stderr
    expected = 1 if stopped or lacks_report else 3 if statuses["failed"] else 0
    if command.code != expected:
        yield Finding("unaccounted", f"the exit code is {command.code} instead of {expected}")


def _parsed(lines: bytes | None) -> Iterator[dict[str, Any] | None]:
    """Yield the object in each line of JSON, without empty lines; None for what is none."""
    for line in (lines or b"").splitlines():
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError:
            values = None
        yield values if isinstance(values, dict) else None


def _is_temporary(name: str) -> bool:
    return any(part.startswith(_TEMPORARY) for part in name.split(posixpath.sep))


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return ascii(lines[-1][:300]) if lines else "nothing is told"
