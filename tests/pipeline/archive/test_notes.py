"""Write-ahead notes: whose process has ended, how often, and when an image is given up."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from stylebeam.pipeline.archive import notes
from stylebeam.pipeline.archive.notes import Note, Notes, process_token


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def note_of(process: int, host: str | None = None, token: str = "another") -> Note:
    return Note("a.jpg", 1.0, host or os.uname().nodename, process, token)


def test_a_note_of_a_process_that_is_at_work_was_not_left() -> None:
    assert note_of(os.getppid()).left() is None
    assert note_of(os.getpid(), token=process_token()).left() is None


def test_a_note_of_a_process_that_has_ended_counts_its_end() -> None:
    for left in (note_of(ended_process()).left(), note_of(os.getppid(), "elsewhere").left()):
        assert left is not None
        assert (left.ends, left.observed, left.process) == (1, 0, 0)
        assert left.left() == left, "it is counted once"


def test_a_process_with_the_same_id_is_another_one_if_its_token_differs() -> None:
    left = note_of(os.getpid()).left()
    assert left is not None
    assert left.ends == 1


def test_two_observed_ends_are_enough_to_refuse_an_image() -> None:
    once = note_of(1).observed_end("signal 11, SIGSEGV")
    assert once.refusal is None
    assert once.observed_end("signal 9, SIGKILL").refusal == (
        "It ended the process that worked on it (signal 9, SIGKILL), twice."
    )


def test_ends_that_nobody_saw_take_three() -> None:
    # The machine may have been switched off, twice.
    assert replace(note_of(0), ends=2).refusal is None
    assert replace(note_of(0), ends=3).refusal == (
        "It ended the process that worked on it, three times."
    )


def test_a_verdict_refuses_at_once() -> None:
    assert replace(note_of(0), verdict="Too slow.").refusal == "Too slow."


def test_notes_are_written_read_and_cleared(tmp_path: Path) -> None:
    here = Notes.beside(str(tmp_path / "out"), is_remote=False)
    assert here.read() == {}
    first, second = here.path_of("out/a.jpg"), here.path_of("out/b\udcff.jpg")
    assert first != second
    for path in (first, second):
        notes.write(path, note_of(1))
        notes.write(path, note_of(2).observed_end("exit code 3"))
    assert here.read() == dict.fromkeys((first, second), note_of(2).observed_end("exit code 3"))
    here.clear()
    assert os.listdir(tmp_path / "out" / "_stylebeam") == []


def test_a_note_that_was_cut_short_was_left_by_a_process_that_ended(tmp_path: Path) -> None:
    here = Notes(str(tmp_path))
    for text in (b"", b'{"input": "a', b"[]", b'{"unknown": 1}', b"\xff"):
        Path(here.path_of("a")).write_bytes(text)
        note = notes.read(here.path_of("a"))
        assert note is not None, text
        assert note.left() is not None, text


def test_notes_about_a_bucket_are_on_this_machine_and_stay_the_same() -> None:
    one, same = (Notes.beside("gs://bucket/out", is_remote=True) for _ in range(2))
    assert one.folder == same.folder != Notes.beside("gs://bucket/other", is_remote=True).folder
    assert os.path.isabs(one.folder)
