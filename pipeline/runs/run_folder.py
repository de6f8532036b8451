"""The folder of one run on this machine, which outlives the processes of the run."""

import contextlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Progress(NamedTuple):
    """How far a run has come.

    Attributes:
        started: when its first image could start, in seconds since 1970.
        notes: the folders of its notes on images in progress.
        is_local: whether only this run's own processes write there.
    """

    started: float
    notes: tuple[str, ...]
    is_local: bool


@dataclass(frozen=True)
class RunFolder:
    """What the processes of a run tell each other, and those that follow when they have ended.

    Attributes:
        path: of the folder, which is empty at first.
    """

    path: str

    def name_of_run(self, new: str) -> str:
        """Return the run's name.

        Args:
            new: the name if the run has none yet.
        """
        if (known := self._read("name")) is not None:
            return known
        self._write("name", new)
        return new

    def start(self, notes: Sequence[str], is_local: bool) -> Progress:
        """Record that images can start from now on; return how far the run has come.

        Args:
            notes: the folders of the notes on images in progress.
            is_local: whether only this run's own processes write there.
        """
        if known := self.progress():
            return known
        progress = Progress(time.time(), tuple(notes), is_local)
        self._write("progress", json.dumps(progress))
        return progress

    def progress(self) -> Progress | None:
        """Return how far the run has come; None if no image could start yet."""
        text = self._read("progress")
        if text is None:
            return None
        started, notes, is_local = json.loads(text)
        return Progress(started, tuple(notes), is_local)

    def end(self, code: int) -> None:
        """Record that the command has come to its end.

        Args:
            code: its exit code.
        """
        self._write("exit_code", str(code))

    @property
    def exit_code(self) -> int | None:
        """The exit code of the command; None if it has not come to its end."""
        text = self._read("exit_code")
        return None if text is None else int(text)

    def end_worker(self, code: int) -> None:
        """Record that a worker process has ended before its time.

        Args:
            code: its exit code, or the negative number of the signal that ended it.
        """
        self._write("worker_exit_code", str(code))

    def take_ended_worker(self) -> int | None:
        """Return the code that `end_worker` recorded, once; None if there is none."""
        text = self._read("worker_exit_code")
        if text is None:
            return None
        os.unlink(self._path("worker_exit_code"))
        return int(text)

    @property
    def temporary(self) -> str:
        """The path of a folder for temporary files, which are deleted with this folder."""
        return self._path("tmp")

    @property
    def sign(self) -> str:
        """The path of the folder of the stop sign."""
        return self._path("sign")

    def _path(self, name: str) -> str:
        return os.path.join(self.path, name)

    def _read(self, name: str) -> str | None:
        with contextlib.suppress(FileNotFoundError), open(self._path(name), encoding="utf-8") as it:
            return it.read()
        return None

    def _write(self, name: str, text: str) -> None:
        whole = self._path(f"{name}.part")
        with open(whole, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(whole, self._path(name))
