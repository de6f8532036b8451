"""How far a run is: its workers count what became of images, and whoever watches reads."""

import hashlib
import os
from collections import Counter
from dataclasses import dataclass

from stylebeam.pipeline.archive.records import STATUSES, Outcome, Status


@dataclass(frozen=True)
class Tally:
    """Counts outcomes, on this machine.

    Workers may be processes: for each outcome they append a byte to the file of its batch and
    status, which needs no lock.

    Attributes:
        folder: an empty one, of this run alone.
    """

    folder: str

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        with open(self._path(outcome.batch, outcome.status), "ab") as file:
            file.write(b".")

    def counts(self, batch: str) -> Counter[Status]:
        """Return how many outcomes of a batch there are so far, by status."""
        found: Counter[Status] = Counter()
        for status in STATUSES:
            try:
                found[status] = os.stat(self._path(batch, status)).st_size
            except FileNotFoundError:
                continue
        return found

    def _path(self, batch: str, status: Status) -> str:
        # A batch may have any name, a file may not.
        name = hashlib.sha256(batch.encode(errors="surrogateescape")).hexdigest()[:32]
        return os.path.join(self.folder, f"{name}.{status}")
