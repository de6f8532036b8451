"""The outcomes of a run as they happen: its workers write them, and the display counts them."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from stylebeam.pipeline.archive.records import STATUSES, Outcome, Status

_SUFFIX = ".outcomes"


@dataclass
class Tally:
    """Outcomes from all worker processes of this machine, on the disk, as they happen.

    A worker appends each outcome to the file of its batch and status, in one write, so this needs
    no lock; the number of lines is the count. If a worker's process ends, its outcomes stay.

    Attributes:
        folder: a folder for this run alone. Workers on machines that do not have it write nothing.
    """

    folder: str
    _read: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)

    def add(self, outcome: Outcome) -> None:
        """Add an outcome."""
        path = self._path(outcome.batch, outcome.status)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except FileNotFoundError:
            return
        try:
            os.write(descriptor, f"{outcome.to_json()}\n".encode())
        finally:
            os.close(descriptor)

    def counts(self, batch: str) -> Counter[Status]:
        """Return the number of outcomes of a batch so far, by status."""
        return Counter({status: self._count(self._path(batch, status)) for status in STATUSES})

    def outcomes(self) -> Iterator[Outcome]:
        """Yield all outcomes so far."""
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(_SUFFIX):
                with open(os.path.join(self.folder, name), encoding="utf-8") as file:
                    yield from map(Outcome.from_json, file)

    def _count(self, path: str) -> int:
        """Return the number of lines of a file, of which only the new ones are read."""
        size, lines = self._read.get(path, (0, 0))
        try:
            with open(path, "rb") as file:
                file.seek(size)
                new = file.read()
        except FileNotFoundError:
            return 0
        self._read[path] = size + len(new), lines + new.count(b"\n")
        return self._read[path][1]

    def _path(self, batch: str, status: Status) -> str:
        # A batch can have a name that is not valid for a file.
        name = hashlib.sha256(batch.encode(errors="surrogateescape")).hexdigest()[:32]
        return os.path.join(self.folder, f"{name}.{status}{_SUFFIX}")
