"""A run of the command as a process, which can be watched, killed, and asked where it hangs."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_PAUSE = 0.05
_SECONDS_TO_DIE = 20.0


class Command:
    """A process of `stylebeam run`, and all processes that it starts.

    Attributes:
        folder: for its output, its temporary files, and its dumps.
        code: the exit code; None while it runs, and when it had to be killed because it hung.
        killed: whether a fault killed it.
        hung: what did not end in time; None if all did.
    """

    def __init__(
        self,
        config: str,
        folder: Path,
        base: Path,
        hook: Path,
        flags: Sequence[str] = (),
        before: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        """Start the command.

        Args:
            config: the path of its config, relative to `base`.
            folder: see the attributes; it is made.
            base: the working directory.
            hook: the folder of `sitecustomize.py`.
            flags: more flags of the command.
            before: a program that starts the command, and its arguments.
            environment: more variables.
        """
        self.folder = folder
        self.code: int | None = None
        self.killed = False
        self.hung: str | None = None
        for name in ("tmp", "dumps"):
            (folder / name).mkdir(parents=True)
        self._mark = uuid.uuid4().hex
        paths = [str(hook), str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        variables = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "TMPDIR": str(folder / "tmp"),
            "XDG_CACHE_HOME": str(base / "cache"),
            "TORCHINDUCTOR_CACHE_DIR": str(base / "torch"),  # Torch makes it in TMPDIR otherwise.
            "SOAK_DUMPS": str(folder / "dumps"),
            "SOAK_RUN": self._mark,
            **(environment or {}),
        }
        words = [*before, sys.executable, "-m", "stylebeam", "run", config, "--json", *flags]
        with open(folder / "stdout", "wb") as out, open(folder / "stderr", "wb") as errors:
            self._process = subprocess.Popen(
                words,
                cwd=base,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Whether its first process runs."""
        return self._process.poll() is None

    @property
    def stderr(self) -> str:
        """What it has written to standard error."""
        return (self.folder / "stderr").read_text(errors="replace")

    @property
    def summary(self) -> dict[str, Any] | None:
        """The batch in the result that it printed; None if it printed none."""
        text = (self.folder / "stdout").read_text(errors="replace").strip()
        try:
            return json.loads(text)["batches"][0] if text else None
        except (ValueError, LookupError, TypeError):
            return None

    @property
    def leftovers(self) -> list[str]:
        """The names of the temporary files that are there."""
        return os.listdir(self.folder / "tmp")

    def processes(self) -> list[int]:
        """Return the IDs of all its processes that run, its first one first."""
        mark = f"SOAK_RUN={self._mark}".encode()
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                variables = Path("/proc", name, "environ").read_bytes().split(b"\0")
                if mark in variables:  # A zombie has no variables.
                    found.append(int(name))
            except OSError:
                continue
        return sorted(found, key=lambda each: (each != self._process.pid, each))

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for a condition while the command runs, and return whether it came true."""
        deadline = time.monotonic() + seconds
        while self.is_running and time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(_PAUSE)
        return False

    def send(self, number: int, to_all: bool = False) -> None:
        """Send a signal to its first process, or to all."""
        for process in self.processes() if to_all else [self._process.pid]:
            send(process, number)

    def kill(self) -> None:
        """Kill all its processes, as often as it starts others, and call it killed."""
        self.killed = True
        self._end_all()

    def wait(self, seconds: float) -> None:
        """Wait until it has ended; what hangs is asked where, and killed."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.hung = f"it has not ended after {seconds:.0f} s"
        if not self.hung and not self._all_end():
            self.hung = f"it left processes that have not ended after {_SECONDS_TO_DIE:.0f} s"
        if self.hung:
            self.send(signal.SIGUSR1, to_all=True)
            time.sleep(1)
            self._end_all()
        self._process.wait()
        self.code = self._process.returncode

    def _all_end(self) -> bool:
        deadline = time.monotonic() + _SECONDS_TO_DIE
        while self.processes():
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        return True

    def _end_all(self) -> None:
        while processes := self.processes():
            for process in processes:
                send(process, signal.SIGKILL)
            self._process.poll()
            time.sleep(_PAUSE)


def send(process: int, number: int) -> None:
    """Send a signal to a process, if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)
