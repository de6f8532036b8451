"""Images in progress: suspects are worked on alone, and slow images are given up."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stylebeam.pipeline.archive import notes
from stylebeam.pipeline.archive.notes import Note, Notes
from stylebeam.pipeline.archive.records import Task
from stylebeam.pipeline.beam import in_progress
from stylebeam.pipeline.beam.in_progress import GivenUpError, InProgress
from tests.helpers.waiting import wait_until


@pytest.fixture
def task(tmp_path: Path) -> Callable[[str], Task]:
    out = str(tmp_path / "out")
    return lambda name: Task("all", f"in/{name}", f"{out}/{name}", "recipe", out, f"stamp {name}")


def note_path(task: Task) -> str:
    return Notes.beside(task.folder, is_remote=False).path_of(task.output)


def left_by_ended_process(task: Task, observed: int) -> None:
    note = Note(task.input)
    for _ in range(observed):
        note = note.observed_end("signal 11, SIGSEGV")
    notes.write(note_path(task), note)


def test_an_image_has_a_note_while_it_is_in_progress(task: Callable[[str], Task]) -> None:
    here = InProgress()
    here.start(task("a.jpg"))
    note = notes.read(note_path(task("a.jpg")))
    assert note is not None
    assert (note.input, note.process) == ("in/a.jpg", os.getpid())
    here.finish()
    assert notes.read(note_path(task("a.jpg"))) is None


def test_an_image_that_ended_two_processes_is_given_up(task: Callable[[str], Task]) -> None:
    left_by_ended_process(task("a.jpg"), 2)
    with pytest.raises(GivenUpError, match=r"ended the process .*signal 11, SIGSEGV\), twice"):
        InProgress().start(task("a.jpg"))
    assert notes.read(note_path(task("a.jpg"))) is None, "--retry-failed tries it again"


def test_a_suspect_is_worked_on_while_no_other_image_is(task: Callable[[str], Task]) -> None:
    left_by_ended_process(task("suspect.jpg"), 1)
    here, at_work, most = InProgress(), set[str](), []
    release = threading.Event()

    def work_on(name: str) -> None:
        here.start(task(name))
        at_work.add(name)
        most.append(frozenset(at_work))
        release.wait(60)
        at_work.remove(name)
        here.finish()

    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(work_on, "first.jpg")
        wait_until(lambda: bool(at_work), "the first image is in progress")
        suspect = threads.submit(work_on, "suspect.jpg")
        wait_until(lambda: here._suspects_waiting == 1, "the suspect waits")
        others = [threads.submit(work_on, f"{number}.jpg") for number in range(4)]
        assert at_work == {"first.jpg"}
        release.set()
        for each in (first, suspect, *others):
            each.result(60)
    assert frozenset({"suspect.jpg"}) in most
    assert not [each for each in most if "suspect.jpg" in each and len(each) > 1]


def test_an_engine_is_told_to_end_when_the_time_is_up(task: Callable[[str], Task]) -> None:
    here = InProgress()
    here.start(task("a.jpg"))
    here.control("stylized")  # compiles the network
    here.enter("encoded")
    here.start(task("a.jpg"), deadline=0.01)
    control = here.control("stylized")
    control.step(0.0)
    assert control.cancel is not None
    assert control.cancel.wait(60)
    assert here.why_canceled() == (
        "It took longer than 0.01 s (image_deadline), and was given up while it was being stylized."
    )
    here.finish()


def test_waiting_for_others_is_no_work(
    task: Callable[[str], Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 0.0
    monkeypatch.setattr(in_progress.time, "monotonic", lambda: seconds)
    here = InProgress()
    here.start(task("a.jpg"), deadline=10)
    work = here._works[threading.get_ident()]
    here.enter("read")
    seconds = 6.0
    here.enter("")
    seconds = 1000.0
    assert work.given_up() is None
    here.enter("stylized")
    seconds = 1003.0
    assert work.given_up() is None
    seconds = 1005.0
    assert "longer than 10 s" in (work.given_up() or "")
    here.finish()


def test_by_default_the_limit_grows_with_the_pixels_and_starts_again_with_each_step(
    task: Callable[[str], Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 0.0
    monkeypatch.setattr(in_progress.time, "monotonic", lambda: seconds)
    here = InProgress()
    here.start(task("a.jpg"))
    work = here._works[threading.get_ident()]
    here.enter("decoded")
    seconds = 121.0
    assert "no progress for 2 min 0 s while it was being decoded" in (work.given_up() or "")
    here.enter("", pixels=4_000_000)
    control = here.control("stylized")
    for _ in range(10):
        control.step(0.5)
        seconds += 359.0
        assert work.given_up() is None
    seconds += 2.0
    assert "no progress for 6 min 0 s" in (work.given_up() or "")
    here.finish()
