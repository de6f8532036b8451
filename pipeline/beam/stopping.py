"""Stops a run early, after a signal or too many failures.

Images in progress are completed, the others are not started, and the outcome of each is recorded.
"""

import contextlib
import ctypes
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A service manager sends a signal to all processes, and the supervisor forwards it too.
_SECONDS_OF_ONE_SIGNAL = 1.0


@dataclass(frozen=True)
class StopSign:
    """Tells all workers on a machine to start no more images.

    Workers can be processes, so the state is kept in files. On a machine that does not have the
    folder, the workers create it and count the failures of that machine alone.

    Attributes:
        folder: a folder for this run alone.
        max_failures: more failures than this stop the run; None for no limit.
    """

    folder: str
    max_failures: int | None = None

    @property
    def reason(self) -> str | None:
        """Why no more images should be started; None as long as they should."""
        try:
            with open(self._path("reason"), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def set(self, reason: str) -> None:
        """Tell the workers to start no more images."""
        os.makedirs(self.folder, exist_ok=True)
        # Several threads and processes can do this at once: readers must see one whole reason.
        descriptor, unfinished = tempfile.mkstemp(dir=self.folder)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(reason)
        os.replace(unfinished, self._path("reason"))

    def forget_failures(self) -> None:
        """Count the failures again from none: the run starts again and knows them."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path("failures"))

    def count_failure(self) -> None:
        """Count a failure, and stop the run if there are more than `max_failures`."""
        if self.max_failures is None:
            return
        os.makedirs(self.folder, exist_ok=True)
        with open(self._path("failures"), "ab") as file:
            file.write(b".")
            file.flush()
            failures = os.fstat(file.fileno()).st_size
        if failures > self.max_failures and self.reason is None:
            self.set(f"more than {self.max_failures} images failed (max_failures)")

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)


def leave_interrupts_to(process: int) -> None:
    """Ignore Ctrl-C and hang-ups from now on, unless this is the process that handles them.

    A terminal also sends these signals to the workers, which would then stop in the middle of an
    image.

    Args:
        process: ID of the process that decides when to stop.
    """
    if sys.platform == "linux" and os.getpid() != process:
        # The signal module only works in the main thread, and workers run in another one.
        for number in (signal.SIGINT, signal.SIGHUP):
            ctypes.CDLL(None).signal(number.value, signal.SIG_IGN.value)


@contextlib.contextmanager
def stopped_by_signals(sign: StopSign, before_exit: Callable[[], None]) -> Iterator[None]:
    """Within a `with`, stop the run on SIGINT, SIGTERM or SIGHUP, and exit at once on a second one.

    SIGHUP comes when the terminal is closed. It stays ignored where `nohup` ignores it.

    Only the main thread can handle signals: in any other thread this does nothing.

    Args:
        sign: the stop sign of the run.
        before_exit: called before the process exits.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    first: tuple[int, float] | None = None

    def receive(number: int, frame: FrameType | None) -> None:
        nonlocal first
        now = time.monotonic()
        if first is not None and first[0] == number and now - first[1] < _SECONDS_OF_ONE_SIGNAL:
            return
        first = first or (number, now)
        if sign.reason:
            before_exit()
            os._exit(128 + number)
        sign.set("the run was interrupted")

    previous = {
        number: signal.signal(number, receive)
        for number in _SIGNALS
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
