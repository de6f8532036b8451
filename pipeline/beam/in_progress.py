"""The images that this process is working on: notes about them, and limits of their time.

An image that ends its process or never ends must not stop the others. Each has a note on the disk
(see `archive/notes.py`) and a limit of time, which a thread watches. An image that was in progress
when an earlier process ended is worked on while no other is, so that a second end can only be its
own.
"""

import contextlib
import dataclasses
import faulthandler
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import notes
from stylebeam.pipeline.archive.notes import Note, Notes
from stylebeam.pipeline.archive.records import Task
from stylebeam.pipeline.wording import duration
from stylebeam.transforms.engine import Control

DEFAULT_LIMIT = 120.0, 60.0
"""Seconds without a sign of life after which an image is given up; and more for each megapixel."""

EXIT_CODE = 75
"""The exit code of a process that ends because an image in it does not."""

_SECONDS_BETWEEN_LOOKS = 0.5
# Between the request to an engine to cancel its work and the end of the process.
_SECONDS_TO_CANCEL = 5.0
# In which no thread could run, after which a process is ended.
_SECONDS_FROZEN = 120.0


class GivenUpError(Exception):
    """An image that should not be worked on any more; the message says why."""


@dataclass
class _Work:
    """An image that a thread is working on.

    Attributes:
        path: of its note.
        note: the note.
        recipe: the digest of its recipe.
        is_alone: whether no other image may be worked on meanwhile.
        deadline: seconds of work that the image may take; None for a limit that grows with it.
        megapixels: of its picture; 0 until it is known.
        step: what is being done, a past participle; "" while it waits for others.
        since: when that began, or when there was the last sign of life.
        worked: seconds of work before that.
        cancel: tells the engine to end.
        canceled: when the engine was told; None if it was not.
        compiles: whether the engine may compile the network first, for which no image is to blame.
    """

    path: str
    note: Note
    recipe: str
    is_alone: bool
    deadline: float | None
    megapixels: float = 0.0
    step: str = ""
    since: float = field(default_factory=time.monotonic)
    worked: float = 0.0
    cancel: threading.Event = field(default_factory=threading.Event)
    canceled: float | None = None
    compiles: bool = False

    def enter(self, step: str) -> None:
        now = time.monotonic()
        self.worked += now - self.since if self.step else 0.0
        self.step, self.since = step, now

    def given_up(self) -> str | None:
        """Return a sentence that says that the time is up, or None if it is not."""
        if not self.step:
            return None
        silent = time.monotonic() - self.since
        if self.deadline is not None and not self.compiles:
            if self.worked + silent <= self.deadline:
                return None
            return (
                f"It took longer than {self.deadline:g} s (image_deadline), and was given up while"
                f" it was being {self.step}."
            )
        limit = DEFAULT_LIMIT[0] + DEFAULT_LIMIT[1] * self.megapixels
        if silent <= limit:
            return None
        return (
            f"It was given up: there was no progress for {duration(limit)} while it was being"
            f" {self.step}. (image_deadline sets a limit.)"
        )


class InProgress:
    """The images that this process is working on, one for each thread at most.

    Attributes:
        may_exit: whether the process may be ended if an image never ends. The process of a user's
            own program may not.
    """

    def __init__(self) -> None:
        self.may_exit = False
        self._works: dict[int, _Work] = {}
        self._changed = threading.Condition()
        self._suspects_waiting = 0
        self._watching = False
        self._no_file: TextIO | None = None
        self._is_armed = False
        self._compiled: set[str] = set()

    def end_process_if_stuck(self) -> None:
        """Allow that this process is ended if an image in it never ends."""
        self.may_exit = True

    def start(self, task: Task, deadline: float | None = None) -> None:
        """Record that this thread starts to work on a task's image.

        If the image was in progress when an earlier process ended, this waits until no other image
        is worked on, and others wait until this one has its outcome.

        Args:
            task: the task.
            deadline: seconds of work that the image may take; None for a limit that grows with it.
                The first images of a recipe have that limit too, since their network is compiled.

        Raises:
            GivenUpError: the image has ended several processes, or takes too long.
        """
        self.finish()
        path = Notes.beside(task.folder, storage.is_remote(task.folder)).path_of(task.output)
        before = notes.read(path)
        left = before.left() if before else None
        if left and (refusal := left.refusal):
            notes.delete(path)
            raise GivenUpError(refusal)
        is_suspect = left is not None and left.ends > 0
        note = dataclasses.replace(
            left or Note(task.input),
            input=task.input,
            started=time.time(),
            host=socket.gethostname(),
            process=os.getpid(),
            token=notes.process_token(),
        )
        work = _Work(path, note, task.recipe, is_suspect, deadline)
        with self._changed:
            self._suspects_waiting += is_suspect
            self._changed.wait_for(lambda: self._may_start(is_suspect))
            self._suspects_waiting -= is_suspect
            self._works[threading.get_ident()] = work
        with contextlib.suppress(OSError):  # A disk that takes no note takes no picture either.
            notes.write(path, note)
        self._watch()
        if not self._is_armed:
            self._end_if_frozen()

    def enter(self, step: str, pixels: int = 0) -> None:
        """Record what this thread does with its image from now on; also a sign of life.

        Args:
            step: a past participle, such as "decoded"; "" while the thread waits for others.
            pixels: of the picture, once it is known.
        """
        if work := self._works.get(threading.get_ident()):
            if work.compiles:
                self._compiled.add(work.recipe)
                work.compiles = False
            work.megapixels = pixels / 1e6 or work.megapixels
            work.enter(step)

    def control(self, step: str) -> Control:
        """Return what an engine reports its progress to, as signs of life.

        Args:
            step: what the engine does, a past participle.
        """
        work = self._works.get(threading.get_ident())
        if work is None:
            return Control()
        work.compiles = work.recipe not in self._compiled
        return Control(lambda done: work.enter(step), work.cancel)

    def why_canceled(self) -> str:
        """Return why the work of this thread was canceled, a sentence."""
        work = self._works.get(threading.get_ident())
        return (work and work.note.verdict) or "The work on the image was canceled."

    def finish(self) -> None:
        """Record that the image of this thread, if there is one, has its outcome."""
        with self._changed:
            work = self._works.pop(threading.get_ident(), None)
            if work is None:
                return
            notes.delete(work.path)
            self._changed.notify_all()

    def _may_start(self, is_suspect: bool) -> bool:
        if is_suspect:
            return not self._works
        return not self._suspects_waiting and not any(
            work.is_alone for work in self._works.values()
        )

    def _watch(self) -> None:
        with self._changed:
            if self._watching:
                return
            self._watching = True
            self._no_file = open(os.devnull, "w")  # noqa: SIM115  # as long as the process lives
        threading.Thread(target=self._look_again_and_again, daemon=True).start()

    def _look_again_and_again(self) -> None:
        while True:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            self._end_if_frozen()
            for work in list(self._works.values()):
                self._look_at(work)

    def _end_if_frozen(self) -> None:
        """Have this process ended if this thread does not come here again.

        A library that never gives Python's lock back stops all its threads. The thread that waits
        for that is not one of Python's.
        """
        if not self.may_exit or self._no_file is None:
            return
        with self._changed:
            self._is_armed = bool(self._works)
            if self._is_armed:
                faulthandler.dump_traceback_later(_SECONDS_FROZEN, exit=True, file=self._no_file)
            else:
                faulthandler.cancel_dump_traceback_later()

    def _look_at(self, work: _Work) -> None:
        """Cancel the work on an image whose time is up; if it does not end, end this process."""
        now = time.monotonic()
        if work.canceled is None:
            if verdict := work.given_up():
                work.note = dataclasses.replace(work.note, verdict=verdict)
                work.canceled = now
                work.cancel.set()
        elif now - work.canceled > _SECONDS_TO_CANCEL and self.may_exit:
            self._exit_because_of(work)

    def _exit_because_of(self, work: _Work) -> None:
        with self._changed:
            if work not in self._works.values():
                return
            # Beside others, it may only wait for one that holds all threads up. Its note then makes
            # it a suspect, which is tried again alone.
            if len(self._works) == 1:
                notes.write(work.path, work.note)
            for other in self._works.values():
                if other is not work and other.canceled is None:
                    # Its process does not end because of it.
                    notes.delete(other.path)
            os._exit(EXIT_CODE)


IN_PROGRESS = InProgress()
"""What this process is working on."""


@contextlib.contextmanager
def nothing_left_in_progress() -> Iterator[None]:
    """Within a `with`, an error means that the work of this thread has ended too."""
    try:
        yield
    except BaseException:
        IN_PROGRESS.finish()
        raise
