"""The run that holds a lease on an output folder, as the lease file names it."""

import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from datetime import datetime

from stylebeam.pipeline.archive.records import parse_object

RUNS_OUT_AFTER = 120.0
"""Seconds without renewal after which a lease has run out."""


@dataclass(frozen=True)
class Holder:
    """The run that holds a lease.

    Attributes:
        run: the run's name.
        host: the machine that runs the command.
        process: the command's process ID.
        started: when the run started, in seconds since 1970.
        renewed: when it last renewed the lease, in seconds since 1970.
    """

    run: str
    host: str
    process: int
    started: float
    renewed: float

    @classmethod
    def this_process(cls, run: str) -> "Holder":
        """Return a holder for a run of this process that starts now."""
        now = time.time()
        return cls(run, socket.gethostname(), os.getpid(), now, now)

    @property
    def has_run_out(self) -> bool:
        """Whether the lease has ended although it was not given back."""
        if self.host == socket.gethostname() and not _is_alive(self.process):
            return True
        return time.time() - self.renewed > RUNS_OUT_AFTER

    def to_json(self) -> bytes:
        """Return the contents of a lease file."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> "Holder | None":
        """Return the holder in a lease file; None if the file is empty or damaged."""
        try:
            values = parse_object(data)
            return cls(
                str(values["run"]),
                str(values["host"]),
                int(values["process"]),
                float(values["started"]),
                float(values["renewed"]),
            )
        except (ValueError, KeyError, TypeError, OverflowError):
            return None

    def __str__(self) -> str:
        """Name the holder, as in "run 2026-… on host (process 12), since 2026-12-01 00:12:33"."""
        try:
            since = f"{datetime.fromtimestamp(self.started):%Y-%m-%d %H:%M:%S}"
        except (ValueError, OverflowError, OSError):
            since = "an unknown time"
        return f"run {self.run} on {self.host} (process {self.process}), since {since}"


class LeaseHeldError(Exception):
    """Another run is writing to an output folder; the message says which and since when."""

    def __init__(self, folder: str, holder: Holder | None) -> None:
        """Make the error.

        Args:
            folder: the output folder.
            holder: the other run; None if it is unknown.
        """
        self.holder = holder
        super().__init__(
            f"{folder} is being written by {holder or 'another run'}. Wait for its end, or start"
            " with --wait to have this run wait."
        )


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
