"""The soak itself: its checker finds what it must find, and a calm round is without findings."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.soak.archive import Archive
from benchmarks.soak.checker import After, Checker, Finding
from benchmarks.soak.disturbances import Allowance
from benchmarks.soak.folders import DiskFolder, digest
from benchmarks.soak.storm import FAULTS

RIGHT = b"the right bytes"
OUTCOMES = "_stylebeam/outcomes.jsonl"


class Round:
    """A round that is as it must be: good photos that are done, and a poisoned one that failed."""

    def __init__(self, folder: Path) -> None:
        self.archive = Archive(DiskFolder(folder, "in"), DiskFolder(folder, "out"), True, 100)
        self.archive.grow(random.Random(2))
        self.archive.poison(random.Random(2), "exit")
        self.archive.start_run()
        self.good, *_ = (self.archive.output_of(each) for each in self.archive.good())
        self.outcomes = [self.outcome(name) for name in self.archive.photos]
        for photo in self.archive.good():
            self.archive.outputs.write(self.archive.output_of(photo), RIGHT)
        self.allows = Allowance()
        self.command = SimpleNamespace(hung=None, killed=False, stderr="", leftovers=[], code=3)

    def outcome(self, name: str) -> dict[str, str | None]:
        """Return the outcome of a photo."""
        failed = self.archive.photos[name].fault is not None
        output = self.archive.setting.output_of(name)
        return {
            "input": f"in/{name}",
            "output": f"out/{output}",
            "status": "failed" if failed else "done",
            "error": "It ended its process." if failed else None,
        }

    def findings(self) -> set[str]:
        """Return the kinds of what the checker finds."""
        failed = sum(each["status"] == "failed" for each in self.outcomes)
        if not hasattr(self.command, "summary"):
            done = len(self.archive.photos) - failed
            self.command.summary = {"done": done, "skipped": 0, "failed": failed}
        references = SimpleNamespace(of=lambda photo, setting: digest(RIGHT))
        after = After(
            self.command,
            self.allows,
            {},
            self.archive.outputs.digests(),
            self.archive.inputs.digests(),
            "\n".join(map(json.dumps, self.outcomes)).encode(),
            None,
            are_outcomes_new=True,
        )
        found: list[Finding] = list(Checker(self.archive, references).check(after))
        return {finding.kind for finding in found}


@pytest.fixture
def a_round(tmp_path: Path) -> Round:
    """A round without findings."""
    made = Round(tmp_path)
    assert made.findings() == set()
    del made.command.summary
    return made


def lose_output(a_round: Round) -> None:
    a_round.archive.outputs.delete(a_round.good)


def lose_outcome(a_round: Round) -> None:
    a_round.outcomes.pop(0)


def double_outcome(a_round: Round) -> None:
    a_round.outcomes.append(a_round.outcomes[0])


def damage_output(a_round: Round) -> None:
    a_round.archive.outputs.write(a_round.good, b"half")


def overwrite_foreign(a_round: Round) -> None:
    a_round.archive.protected["notes.txt"] = b"mine"
    a_round.archive.outputs.write("notes.txt", b"overwritten")


def change_original(a_round: Round) -> None:
    a_round.archive.inputs.write(next(iter(a_round.archive.photos)), b"changed")


def leave_temporary_file(a_round: Round) -> None:
    a_round.archive.outputs.write(".stylebeam-1.part", b"half")


def miscount(a_round: Round) -> None:
    a_round.command.summary = {"done": 1, "skipped": 0, "failed": 0}


def wrong_exit_code(a_round: Round) -> None:
    a_round.command.code = 0


def end_without_outcomes(a_round: Round) -> None:
    a_round.command.summary = None


def hang(a_round: Round) -> None:
    a_round.command.hung = "it has not ended"


def show_traceback(a_round: Round) -> None:
    a_round.command.stderr = "Traceback (most recent call last):\n"


def let_poison_pass(a_round: Round) -> None:
    a_round.outcomes[-1]["status"], a_round.outcomes[-1]["error"] = "skipped", None


@pytest.mark.parametrize(
    ("harm", "kind"),
    [
        (lose_output, "lost"),
        (lose_outcome, "lost"),
        (end_without_outcomes, "lost"),
        (double_outcome, "doubled"),
        (damage_output, "wrong"),
        (overwrite_foreign, "wrong"),
        (change_original, "wrong"),
        (leave_temporary_file, "wrong"),
        (show_traceback, "wrong"),
        (let_poison_pass, "wrong"),
        (miscount, "unaccounted"),
        (wrong_exit_code, "unaccounted"),
        (hang, "hang"),
    ],
)
def test_the_checker_finds_it(a_round: Round, harm: Callable[[Round], None], kind: str) -> None:
    harm(a_round)
    assert kind in a_round.findings()


def test_what_a_disturbance_allows_is_no_finding(a_round: Round) -> None:
    a_round.allows = replace(a_round.allows, failures=True)
    first = a_round.outcomes[0]
    first["status"], first["error"] = "failed", "The disk is full."
    assert a_round.findings() == set()
    a_round.allows = Allowance()
    del a_round.command.summary
    assert a_round.findings() == {"lost"}


@pytest.mark.slow
def test_a_calm_round_is_without_findings(tmp_path: Path) -> None:
    calm = ",".join(each for each in FAULTS if each not in ("foreign", "edits"))
    options = ["--rounds", "1", "--work", str(tmp_path / "soak"), "--without", calm]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", *options],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| rounds | 1 |" in done.stdout
