"""The supervisor of a command: the command goes on when an image ends its process.

The command runs in a child process. If the child ends before the command has come to its end, the
notes on images in progress (see `archive/notes.py`) say what it was working on, and a new child
continues. The supervisor imports nothing large and has no threads, so it can fork at any time.
"""

import contextlib
import glob
import os
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from stylebeam.pipeline.archive import notes
from stylebeam.pipeline.archive.notes import Notes
from stylebeam.pipeline.processes import end_with_parent
from stylebeam.pipeline.runs.run_folder import Progress, RunFolder
from stylebeam.pipeline.terminal import complain, show_cursor

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SECONDS_BETWEEN_LOOKS = 2.0
# Between a second signal and the end of a process that does not follow it.
_SECONDS_TO_EXIT = 5.0
# Ends of the process in a row, with no image done meanwhile, after which the machine or the
# installation is at fault; and the same when it was not working on an image.
_MOST_ENDS, _MOST_ENDS_WITHOUT_AN_IMAGE = 10, 2
_NAMES_SHOWN = 5


def supervise(command: Callable[[RunFolder], int]) -> int:
    """Run a command in a child process, and in a new one whenever an image has ended it.

    Args:
        command: receives the folder of the run; returns an exit code. It runs in the child.

    Returns:
        The exit code, both in this process and in the child.
    """
    return _Supervisor(command).run()


class _Supervisor:
    def __init__(self, command: Callable[[RunFolder], int]) -> None:
        self._command = command
        self._folder = RunFolder(tempfile.mkdtemp(prefix="stylebeam-"))
        os.mkdir(self._folder.temporary)
        self._child = 0
        self._signals: list[tuple[int, float]] = []
        self._ends = 0
        self._done = 0

    def run(self) -> int:
        """Run the command to its end."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        while True:
            ours, theirs = os.pipe(), os.pipe()
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
            self._child = os.fork()
            if self._child == 0:
                os.close(ours[1])
                os.close(theirs[0])
                _become_child(before, ours[0])
                # Beam's temporary files would stay if the process is ended.
                os.environ["TMPDIR"] = tempfile.tempdir = self._folder.temporary
                return self._run_command()
            os.close(ours[0])
            os.close(theirs[1])
            self._receive_signals()
            status = self._wait(theirs[0])
            os.close(ours[1])
            os.close(theirs[0])
            if (code := self._after(status)) is not None:
                shutil.rmtree(self._folder.path, ignore_errors=True)
                return code
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)

    def _run_command(self) -> int:
        code = 1
        try:
            code = self._command(self._folder)
        finally:
            self._folder.end(code)
        return code

    def _receive_signals(self) -> None:
        for number in _SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._forward)
        signal.signal(signal.SIGTSTP, self._pause)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        self._signals.append((number, time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, number)

    def _pause(self, number: int, frame: FrameType | None) -> None:
        """Pause with Ctrl-Z, and continue together."""
        self._signal_group(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        self._signal_group(signal.SIGCONT)

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child, number)

    def _wait(self, ended: int) -> int:
        """Return the status of the child once it has ended.

        Args:
            ended: a pipe whose other end only the child has.
        """
        while not select.select([ended], [], [], _SECONDS_BETWEEN_LOOKS)[0]:
            seconds = time.monotonic() - self._signals[1][1] if len(self._signals) > 1 else 0.0
            if seconds > _SECONDS_TO_EXIT:
                self._signal_group(signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])

    def _after(self, status: int) -> int | None:
        """Return the exit code of the command; None if a new child must continue it.

        Args:
            status: the child's exit code, or the negative number of the signal that ended it.
        """
        progress = self._folder.progress()
        code = self._folder.exit_code
        if code is None and self._signals and (len(self._signals) > 1 or progress is None):
            code = 128 + self._signals[-1][0]
            if progress is None:
                complain("interrupted before an image was started.")
        if code is not None:
            self._signal_group(signal.SIGKILL)
            for folder in progress.notes if progress and progress.is_local else ():
                Notes(folder).clear()
            return code
        worker = self._folder.take_ended_worker()
        how = _described(status if worker is None else worker)
        inputs = self._judge(progress, worker is not None, how) if progress else []
        self._signal_group(signal.SIGKILL)
        show_cursor()
        work = f" while it worked on {_listed(inputs)}" if inputs else ""
        sentence = f"a process of the run ended unexpectedly ({how}){work}"
        if self._may_continue(progress, bool(inputs)):
            complain(f"{sentence}. The run continues.")
            return None
        complain(f"{sentence}; the run cannot continue.")
        return 1

    def _judge(self, progress: Progress, is_worker: bool, how: str) -> list[str]:
        """Count the end of a process in the notes on its images; return these images."""
        suspects = []
        for folder in progress.notes:
            for path, note in Notes(folder).read().items():
                if note.verdict is not None:
                    suspects.append(note.input)
                elif note.process in (0, *([] if is_worker else [self._child])) or (
                    is_worker and note.left() is not None
                ):
                    if note.process:
                        suspects.append(note.input)
                        notes.write(path, note.observed_end(how))
                elif progress.is_local:
                    notes.delete(path)  # Another process, which ends because of this one.
        return suspects

    def _may_continue(self, progress: Progress | None, has_suspects: bool) -> bool:
        # A job that was submitted to a cluster may go on there.
        if progress is not None and not (progress.is_local or has_suspects):
            return False
        paths = glob.glob(os.path.join(glob.escape(self._folder.path), "*.done.outcomes"))
        done = sum(map(os.path.getsize, paths))
        self._ends = 1 if done > self._done else self._ends + 1
        self._done = done
        return self._ends <= (_MOST_ENDS if has_suspects else _MOST_ENDS_WITHOUT_AN_IMAGE)


def _become_child(handlers: Mapping[signal.Signals, Any], parent: int) -> None:
    """Set up the child: a process group of its own, which ends with its parent.

    Args:
        handlers: of the signals that the parent forwards, as they were before.
        parent: a pipe whose other end only the parent has.
    """
    os.setpgid(0, 0)
    end_with_parent()
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # It writes to the terminal from behind.
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    # Also on other systems, and all processes of the group.
    def exit_with_parent() -> None:
        os.read(parent, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=exit_with_parent, daemon=True).start()


def _described(status: int) -> str:
    """Return how a process ended, such as "signal 11, SIGSEGV" or "exit code 3"."""
    if status >= 0:
        return f"exit code {status}"
    try:
        return f"signal {-status}, {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


def _listed(inputs: list[str]) -> str:
    shown = sorted(inputs)[:_NAMES_SHOWN]
    more = len(inputs) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
