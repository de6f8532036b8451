"""A second run on the local disk redoes only what is missing or outdated."""

import errno
import fcntl
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from stylebeam.pipeline.archive import journal
from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.cli.arguments import main

NAMES = ("a.jpg", "b.png", "below/c.jpeg")


pytestmark = pytest.mark.usefixtures("one_batch")


def run(*words: str) -> int:
    return main(["run", "config.yaml", *words])


def setting(*values: str) -> list[str]:
    return [word for value in values for word in ("--set", f"batches.all.{value}")]


def statuses() -> dict[str, str]:
    return {outcome.output.removeprefix("out/"): outcome.status for outcome in read_outcomes("out")}


def done() -> set[str]:
    return {name for name, status in statuses().items() if status == "done"}


def written() -> dict[str, tuple[bytes, int]]:
    """Return the bytes and the time of each output."""
    paths = (Path("out", name) for name in NAMES)
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def test_a_second_run_decodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run() == 0
    first = written()
    monkeypatch.setattr(
        "stylebeam.pipeline.beam.steps.decode", lambda *args: pytest.fail("it was decoded")
    )
    assert run() == 0
    assert statuses() == dict.fromkeys(NAMES, "skipped")
    assert written() == first


@pytest.mark.slow
def test_validate_counts_the_outputs_that_are_up_to_date(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run() == 0
    Path("out/a.jpg").unlink()
    capsys.readouterr()
    assert main(["validate", "config.yaml"]) == 0
    assert "to out; 2 up to date, 1 to do\n" in capsys.readouterr().out
    assert run() == 0
    assert "all: 1 done, 2 skipped, 0 failed; outputs in out\n" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_deleted_output_is_redone(name: str) -> None:
    assert run() == 0
    first = written()
    Path("out", name).unlink()
    assert run() == 0
    assert done() == {name}
    assert {path: data for path, (data, _) in written().items()} == {
        path: data for path, (data, _) in first.items()
    }


@pytest.mark.slow
def test_the_output_of_a_changed_photo_is_redone(photos: Path) -> None:
    assert run() == 0
    before = written()
    Image.open(photos / "b.png").rotate(180).save(photos / "b.png")
    assert run() == 0
    assert done() == {"b.png"}
    assert written()["out/b.png"][0] != before["out/b.png"][0]


@pytest.mark.slow
def test_the_output_of_a_changed_photo_of_the_same_size_is_redone(photos: Path) -> None:
    data = bytearray((photos / "a.jpg").read_bytes())
    assert run() == 0
    data[-20] ^= 1
    (photos / "a.jpg").write_bytes(data)
    assert run() == 0
    assert done() == {"a.jpg"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("fast.strength=0.5", set(NAMES)),
        ("quality=50", {"a.jpg", "b.png", "below/c.jpeg"}),
        ("name=renamed", set()),
    ],
)
def test_outputs_of_a_changed_recipe_are_redone(change: str, expected: set[str]) -> None:
    assert run() == 0
    assert run(*setting(change)) == 0
    assert done() == expected
    assert run(*setting(change)) == 0
    assert done() == set()


@pytest.mark.slow
def test_outputs_of_another_checkpoint_with_the_same_name_are_redone() -> None:
    assert run() == 0
    data = Path("style.safetensors").read_bytes()
    Path("style.safetensors").unlink()
    Path("style.safetensors").write_bytes(data[:-2] + bytes([data[-2] ^ 1, data[-1]]))
    assert run() == 0
    assert done() == set(NAMES)


@pytest.mark.slow
def test_overwrite_always_and_never(photos: Path) -> None:
    assert run() == 0
    before = written()
    assert run(*setting("overwrite=always")) == 0
    assert done() == set(NAMES)
    (photos / "a.jpg").write_bytes((photos / "below" / "c.jpeg").read_bytes())
    Path("out/b.png").unlink()
    assert run(*setting("overwrite=never")) == 0
    assert done() == {"b.png"}
    assert written()["out/a.jpg"][0] == before["out/a.jpg"][0]


@pytest.mark.slow
@pytest.mark.parametrize("written_before", [False, True])
def test_a_file_that_no_run_wrote_is_left_alone(
    written_before: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if written_before:
        assert run() == 0
    Path("out").mkdir(exist_ok=True)
    Path("out/a.jpg").write_bytes(b"edited by hand")
    assert run(*setting("fast.strength=0.5")) == 3
    assert statuses() == {"a.jpg": "failed", "b.png": "done", "below/c.jpeg": "done"}
    assert Path("out/a.jpg").read_bytes() == b"edited by hand"
    assert "out/a.jpg exists already and was not written by a run" in capsys.readouterr().out
    assert run(*setting("fast.strength=0.5", "overwrite=never")) == 0
    assert Path("out/a.jpg").read_bytes() == b"edited by hand"
    assert run(*setting("fast.strength=0.5", "overwrite=always")) == 0
    assert Image.open("out/a.jpg").size == (50, 41)


@pytest.mark.slow
def test_a_file_that_no_run_wrote_is_left_alone_beside_a_refused_link(
    photos: Path, tmp_path: Path
) -> None:
    """The link would be written to the same place as a photo, and is listed before the photo."""
    (tmp_path / "private.jpg").write_bytes((photos / "a.jpg").read_bytes())
    (photos / "a.jpeg").symlink_to(tmp_path / "private.jpg")
    Path("out").mkdir()
    Path("out/a.webp").write_bytes(b"mine")
    assert run(*setting("format=webp")) == 3
    by_input = {outcome.input: outcome.status for outcome in read_outcomes("out")}
    assert by_input["photos/a.jpeg"] == by_input["photos/a.jpg"] == "failed"
    assert Path("out/a.webp").read_bytes() == b"mine"


def test_a_folder_in_place_of_the_journal_fails_the_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("out/_stylebeam/journal.jsonl").mkdir(parents=True)
    assert run() == 1
    assert "out/_stylebeam/journal.jsonl cannot be read: is a directory." in capsys.readouterr().err


@pytest.mark.slow
def test_an_output_that_was_being_written_when_a_run_was_killed_is_redone() -> None:
    """The journal has only its first line, so the file may be the old output or the new one."""
    assert run() == 0
    journal.start("out", "a.jpg")
    assert run() == 0
    assert done() == {"a.jpg"}
    assert run() == 0
    assert done() == set()


@pytest.mark.slow
@pytest.mark.parametrize("garbage", [b'{"output": "b.png", "st', b"\xff\0\n[]\nnull\n3\n", b"\n\n"])
def test_damaged_lines_of_the_journal_are_skipped(garbage: bytes) -> None:
    assert run() == 0
    with open("out/_stylebeam/journal.jsonl", "ab") as file:
        file.write(garbage)
    Path("out/a.jpg").unlink()
    assert run() == 0
    assert done() == {"a.jpg"}
    assert run() == 0
    assert done() == set()


@pytest.mark.slow
def test_outputs_that_were_moved_with_their_journal_are_up_to_date() -> None:
    assert run() == 0
    Path("out").rename("moved")
    for path in Path("moved").rglob("*.jp*"):
        os.utime(path)
    assert run(*setting("output=moved")) == 0
    assert {outcome.status for outcome in read_outcomes("moved")} == {"skipped"}


@pytest.mark.slow
def test_only_what_failed_is_retried(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (photos / "a.jpg").read_bytes()
    (photos / "a.jpg").write_bytes(whole[:300])
    assert run() == 3
    assert statuses() == {"a.jpg": "failed", "b.png": "done", "below/c.jpeg": "done"}
    (photos / "a.jpg").write_bytes(whole)
    (photos / "new.jpg").write_bytes(whole)
    Path("out/b.png").unlink()
    capsys.readouterr()
    assert run("--retry-failed") == 0
    # The others keep their outcomes. The new photo had not failed.
    assert statuses() == {"a.jpg": "done", "b.png": "done", "below/c.jpeg": "done"}
    assert not Path("out/b.png").exists()
    assert not Path("out/new.jpg").exists()
    assert run() == 0
    assert done() == {"b.png", "new.jpg"}


def test_there_is_nothing_to_retry_without_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--retry-failed") == 1
    assert "outcomes.jsonl cannot be read: there is no such file." in capsys.readouterr().err
    assert not Path("out").exists()


@pytest.mark.slow
def test_two_batches_can_write_to_one_folder(photos: Path) -> None:
    Path("config.yaml").write_text("""
defaults: {fast: {style: style.safetensors}, output: out}
batches:
  - {name: all, input: "photos/*.jpg"}
  - {name: below, input: photos/below, fast: {strength: 0.5}}
run: {device: cpu}
""")
    assert run() == 0
    assert done() == {"a.jpg", "c.jpeg"}
    assert run("--set", "batches.below.fast.strength=0.6") == 0
    assert done() == {"c.jpeg"}


@pytest.mark.slow
def test_unfinished_files_of_killed_runs_are_removed(photos: Path) -> None:
    """The unfinished file of a live process is not."""
    (Path("out") / "below").mkdir(parents=True)
    dead = Path("out/below/.stylebeam-dead.part")
    alive = Path("out/.stylebeam-alive.part")
    dead.touch()
    script = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'xb')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(alive)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "locked\n"
        assert run() == 0
        assert not dead.exists()
        assert alive.exists()
        process.kill()
    assert run() == 0
    assert not alive.exists()


@pytest.mark.slow
def test_outputs_are_written_to_a_drive_without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    Path("out").mkdir()
    Path("out/.stylebeam-other.part").touch()
    assert run() == 0
    assert done() == set(NAMES)
    # Another machine could be writing it.
    assert Path("out/.stylebeam-other.part").exists()


@pytest.mark.slow
def test_the_record_has_one_outcome_for_each_input() -> None:
    for _ in range(2):
        assert run() == 0
        lines = Path("out/_stylebeam/outcomes.jsonl").read_text().splitlines()
        inputs = Counter(json.loads(line)["input"] for line in lines)
        assert inputs == Counter(f"photos/{name}" for name in NAMES)
