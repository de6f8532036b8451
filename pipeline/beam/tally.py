"""Counts the outcomes of a run: its workers write, and the display reads."""

import hashlib
import os
from collections import Counter
from dataclasses import dataclass

from stylebeam.pipeline.archive.records import STATUSES, Outcome, Status


@dataclass(frozen=True)
class Tally:
    """Counts outcomes across the worker processes of this machine.

    For each outcome, a worker appends one byte to the file of the batch and status. This needs no
    lock; the size of the file is the count.

    Attributes:
        folder: a folder for this run alone, empty at its start.
    """

    folder: str

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        with open(self._path(outcome.batch, outcome.status), "ab") as file:
            file.write(b".")

    def counts(self, batch: str) -> Counter[Status]:
        """Return the number of outcomes of a batch so far, by status."""
        counts: Counter[Status] = Counter()
        for status in STATUSES:
            try:
                counts[status] = os.stat(self._path(batch, status)).st_size
            except FileNotFoundError:
                continue
        return counts

    def _path(self, batch: str, status: Status) -> str:
        # A batch can have a name that is not valid for a file.
        name = hashlib.sha256(batch.encode(errors="surrogateescape")).hexdigest()[:32]
        return os.path.join(self.folder, f"{name}.{status}")
