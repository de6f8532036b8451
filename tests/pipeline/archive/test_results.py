"""What an output folder on the local disk holds, by its journal and the last run's record."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from stylebeam.pipeline.archive import journal, ledger
from stylebeam.pipeline.archive.records import Task
from stylebeam.pipeline.archive.results import Result, Results, recover, tidy, write_result

NAMES = ("a.jpg", "below/b.jpg", "é \udcff.jpg")


def write(folder: str, names: Sequence[str] = NAMES, is_recorded: bool = True) -> None:
    """Write outputs as a run does, and the record of the run."""
    Path(folder).parent.joinpath("input.jpg").touch()
    outcomes = []
    for name in names:
        output = os.path.join(folder, name)
        task = Task("all", f"{folder}/../input.jpg", output, "recipe", folder, f"stamp {name}")
        digest = write_result(task, "jpeg", f"picture {name}".encode(errors="replace"))
        outcomes.append(task.outcome("done", 1.0, digest=digest))
    if is_recorded:
        ledger.write_run(folder, [{"name": "all", "output": folder}], "a run")
        ledger.write_outcomes(folder, (each.to_json() for each in outcomes))


@pytest.fixture
def out(tmp_path: Path) -> str:
    """A folder with outputs, their journal and the record of their run."""
    folder = str(tmp_path / "out")
    write(folder)
    return folder


def ours(folder: str) -> set[str]:
    """Return the outputs that a run wrote, by their names; check their stamps."""
    found = Results(folder).of
    names = {os.path.relpath(path, folder): result for path, result in found.items()}
    for name, result in names.items():
        assert result.stamp == (f"stamp {name}" if result.ours else None)
    return {name for name, result in names.items() if result.ours}


def journal_file(folder: str) -> Path:
    return Path(journal.path_of(folder))


def edit(path: str) -> None:
    """Change a file's contents and time, but not its size."""
    found = os.stat(path)
    data = bytearray(Path(path).read_bytes())
    data[0] ^= 1
    Path(path).write_bytes(data)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))


def read_no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "digest_of", lambda data: pytest.fail("a picture was read"))


def test_outputs_whose_time_is_recorded_are_not_read(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_no_pictures(monkeypatch)
    assert ours(out) == set(NAMES)


def test_an_output_that_was_edited_in_place_is_not_ours(out: str) -> None:
    edit(f"{out}/a.jpg")
    found = Results(out)
    assert found.of[f"{out}/a.jpg"] == Result(found.of[f"{out}/a.jpg"].version, False, None)
    assert ours(out) == {*NAMES} - {"a.jpg"}
    # It is the file that changed, not the record.
    assert found.notes == []


def test_outputs_of_another_time_are_ours_by_their_contents_and_read_once(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        os.utime(os.path.join(out, name), ns=(1, 2))
    found = Results(out)
    assert ours(out) == set(NAMES)
    assert found.notes == []
    recover(out, found.recovered)
    read_no_pictures(monkeypatch)
    assert ours(out) == set(NAMES)
    assert Results(out).recovered == {}


def test_in_a_journal_of_an_earlier_version_the_size_decides(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.loads(line) for line in journal_file(out).read_text().splitlines() if line]
    old = [{key: line[key] for key in ("output", "stamp", "size") if key in line} for line in lines]
    journal_file(out).write_text("".join(f"\n{json.dumps(line)}\n" for line in old))
    edit(f"{out}/a.jpg")
    read_no_pictures(monkeypatch)
    assert ours(out) == set(NAMES)


@pytest.mark.parametrize("moved", [False, True])
def test_a_lost_journal_is_recovered_from_the_outcomes(out: str, moved: bool) -> None:
    if moved:
        os.rename(out, f"{out}-moved")
        out = f"{out}-moved"
    journal_file(out).unlink()
    edit(f"{out}/a.jpg")
    Path(out, "mine.jpg").write_bytes(b"mine")
    found = Results(out)
    assert found.notes == [
        f"{journal_file(out)}, the record of what runs have written, is missing; of 4 images that"
        " it does not account for, 2 were recognized by their digests in outcomes.jsonl, and the"
        " others count as not written by a run."
    ]
    assert ours(out) == {*NAMES} - {"a.jpg"}
    recover(out, found.recovered)
    assert Results(out).notes == []
    assert ours(out) == {*NAMES} - {"a.jpg"}


def test_a_journal_that_is_lost_with_the_outcomes_is_missed(out: str) -> None:
    journal_file(out).unlink()
    Path(ledger.outcomes_path(out)).unlink()
    [note] = Results(out).notes
    assert "is missing; of 3 images that it does not account for, 0 were recognized" in note
    assert ours(out) == set()


def test_a_folder_that_no_run_has_written_to_has_no_journal_to_miss(tmp_path: Path) -> None:
    (tmp_path / "mine.jpg").write_bytes(b"mine")
    found = Results(str(tmp_path))
    assert found.notes == []
    assert [each.ours for each in found.of.values()] == [False]


@pytest.mark.parametrize("size", range(0, 400, 23))
def test_a_cut_journal_is_completed_from_the_outcomes(out: str, size: int) -> None:
    whole = journal_file(out).read_bytes()
    journal_file(out).write_bytes(whole[:size])
    found = Results(out)
    # An output whose second line alone was cut off is redone, as after a kill.
    assert all(each.ours for each in found.of.values())
    recover(out, found.recovered)
    tidy(out)
    assert Results(out).notes == []


def test_an_older_copy_of_the_journal_is_brought_up_to_date(out: str) -> None:
    older = journal_file(out).read_bytes()
    Path(out, "a.jpg").write_bytes(b"new picture")
    digest = journal.digest_of(b"new picture")
    task = Task("all", "input.jpg", f"{out}/a.jpg", "recipe", out, "stamp a.jpg")
    ledger.write_outcomes(out, [task.outcome("done", 1.0, digest=digest).to_json()])
    assert journal_file(out).read_bytes() == older
    assert ours(out) == set(NAMES)
    [note] = Results(out).notes
    assert "journal.jsonl is incomplete; of 1 image" in note


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"null",
        b"3",
        b'"text"',
        b"\xff\0\xfe",
        b"[" * 100_000,
        b'{"output": "a.jpg", "st',
        b'{"output": 5}',
        b'{"output": []}',
        b'{"output": ""}',
        b'{"output": "a.jpg", "stamp": 5, "size": 5}',
        b'{"output": "a.jpg", "stamp": {}, "size": 5}',
        b'{"output": "a.jpg", "stamp": "s", "size": "5"}',
        b'{"output": "a.jpg", "stamp": "s", "size": -1}',
        b'{"output": "a.jpg", "stamp": "s", "size": true}',
        b'{"output": "a.jpg", "stamp": "s"}',
        b'{"output": "a.jpg", "stamp": "s", "size": 5, "version": 5, "digest": "d"}',
        b'{"output": "a.jpg", "stamp": "s", "size": 5, "version": "v", "digest": ["d"]}',
        b'{"output": "a.jpg", "stamp": "s", "size": 5, "version": "v"}',
        b'{"output": "a.jpg", "stamp": "s", "size": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_damaged_line_of_the_journal_is_left_out_and_said_once(out: str, line: bytes) -> None:
    with journal_file(out).open("ab") as file:
        file.write(line + b"\n")
    assert Results(out).notes == [f"{journal_file(out)} has 1 damaged line, left out."]
    assert ours(out) == set(NAMES)
    tidy(out)
    assert Results(out).notes == []
    assert ours(out) == set(NAMES)


LOCALES = [
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"},
]
WRITE = """
import os, sys
from tests.pipeline.archive.test_results import write
write(sys.argv[1], [os.fsdecode(name) for name in (b"a.jpg", b"\\xc3\\xa9 \\xff.jpg")])
"""
READ = """
import sys
from stylebeam.pipeline.archive import ledger
from stylebeam.pipeline.archive.results import Results
results = Results(sys.argv[1])
assert len(results.of) == 2 and all(each.ours for each in results.of.values()), results.of
assert not results.notes
outputs = [each.output for each in ledger.read_outcomes(sys.argv[1])]
assert set(outputs) == set(results.of), outputs
"""


@pytest.mark.slow
@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("locale", LOCALES[:2])
def test_names_are_the_same_under_every_locale(
    tmp_path: Path, locale: dict[str, str], lost: bool
) -> None:
    out = str(tmp_path / "ö")

    def python(program: str, environment: dict[str, str]) -> None:
        subprocess.run(
            [sys.executable, "-c", program, out], env={**os.environ, **environment}, check=True
        )

    python(WRITE, locale)
    for each in LOCALES:
        python(READ, each)
    if lost:
        journal_file(out).unlink()
        assert len(Results(out).recovered) == 2
