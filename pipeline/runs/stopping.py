"""How a run is stopped before its end: by a signal, or by too many failures.

The images under way are finished, the others are left out, and all of them are recorded.
"""

import contextlib
import ctypes
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class StopSign:
    """Says to all workers of a machine whether to begin with another image.

    It stands in a folder, for workers may be processes. On a machine where the folder is not, it is
    made, and the workers there count their own failures.

    Attributes:
        folder: an empty one, of this run alone.
        max_failures: stop after more failures than that; None for never.
    """

    folder: str
    max_failures: int | None = None

    @property
    def reason(self) -> str | None:
        """Why no more images are to be begun with; None while they are."""
        try:
            with open(self._path("reason"), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def put_up(self, reason: str) -> None:
        """Have no more images begun with."""
        os.makedirs(self.folder, exist_ok=True)
        # Several threads and processes may find a reason at once.
        descriptor, unread = tempfile.mkstemp(dir=self.folder)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(reason)
        os.replace(unread, self._path("reason"))

    def count_failure(self) -> None:
        """Count a failure, and put the sign up if it was one too many."""
        if self.max_failures is None:
            return
        os.makedirs(self.folder, exist_ok=True)
        with open(self._path("failures"), "ab") as file:
            file.write(b".")
            file.flush()
            failures = os.fstat(file.fileno()).st_size
        if failures > self.max_failures and self.reason is None:
            self.put_up(f"more than {self.max_failures} images failed (max_failures)")

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)


def leave_interrupts_to(process: int) -> None:
    """Ignore Ctrl-C from here on, unless this is the process that is to see to it.

    A terminal sends it to the workers too, which would break off in the midst of an image.

    Args:
        process: the number of the process that decides when to stop.
    """
    if sys.platform == "linux" and os.getpid() != process:
        # Python itself lets none but the main thread do so, which workers do not get to.
        ctypes.CDLL(None).signal(signal.SIGINT.value, signal.SIG_IGN.value)


@contextlib.contextmanager
def stopped_by_signals(sign: StopSign, before_exit: Callable[[], None]) -> Iterator[None]:
    """Within a `with`, let SIGINT and SIGTERM put up the sign; if it is up, they end the process.

    Signals reach the main thread alone; in any other this does nothing.

    Args:
        sign: of the run.
        before_exit: called before the process is ended.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def receive(number: int, frame: FrameType | None) -> None:
        if sign.reason:
            before_exit()
            os._exit(128 + number)
        sign.put_up("the run was interrupted")

    before = {number: signal.signal(number, receive) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
