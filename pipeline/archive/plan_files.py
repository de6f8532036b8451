"""Writes the plan of a run for its workers, in files of a few thousand images each, and reads it.

The archive is listed once, where the run is planned. What was found and checked there is what the
workers do, however the archive changes meanwhile.
"""

import contextlib
import dataclasses
import glob
import io
import json
import os
import uuid
from collections.abc import Iterator

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.records import Outcome, Task, parse_object

# About 4 MB.
_ITEMS_IN_A_FILE = 10_000


class PlanWriter:
    """Writes a plan item by item, without holding all of it.

    Attributes:
        paths: of the files that are written.
    """

    def __init__(self, stem: str, items_in_a_file: int = _ITEMS_IN_A_FILE, run: str = "") -> None:
        """Start a plan.

        Args:
            stem: of the files' paths or URIs, unique to this run, where the workers can read.
            items_in_a_file: how many images each file holds.
            run: the name of the run, which its tasks and outcomes carry.
        """
        self._run = run
        self.paths: list[str] = []
        self._stem = stem
        self._items_in_a_file = items_in_a_file
        self._lines: list[str] = []

    def add(self, item: Task | Outcome) -> None:
        """Add an image that is to be stylized, or what has become of it already.

        Raises:
            StorageError: the plan cannot be written.
        """
        self._lines.append(json.dumps({**dataclasses.asdict(item), "run": self._run}))
        if len(self._lines) == self._items_in_a_file:
            self.close()

    def close(self) -> None:
        """Write what is not written yet.

        Raises:
            StorageError: the plan cannot be written.
        """
        if self._lines:
            path = f"{self._stem}-{len(self.paths):06}.jsonl"
            text = "\n".join(self._lines)
            storage.write(path, text.encode(), "application/jsonl")
            self.paths.append(path)
            self._lines = []

    def delete(self) -> None:
        """Delete the files of the plan; what cannot be deleted stays."""
        for path in self.paths:
            with contextlib.suppress(storage.StorageError):
                storage.delete(path)


def stem_in(output: str) -> str:
    """Return a stem for the plan of a run, in the output folder that its workers write to."""
    return storage.join(output, f"_stylebeam/plan-{uuid.uuid4().hex}")


def delete_leftovers(output: str) -> None:
    """Delete the plans that interrupted runs have left in an output folder.

    Raises:
        StorageError: the folder cannot be listed, or a plan cannot be deleted.
    """
    folder = storage.join(output, "_stylebeam")
    if not storage.is_remote(folder) and not os.path.isdir(folder):
        return
    for file in storage.list_files(folder, storage.join(glob.escape(folder), "plan-*.jsonl")):
        storage.delete(file.path)


def read_plan(
    path: str, storage_deadline: float = storage.DEFAULT_DEADLINE
) -> Iterator[Task | Outcome]:
    """Yield the items in a file of a plan.

    Args:
        path: of the file.
        storage_deadline: seconds within which it must be read.

    Raises:
        StorageError: it cannot be read, or is damaged.
    """
    storage.set_deadline(storage_deadline)
    for line in io.BytesIO(storage.read(path)):
        try:
            values = parse_object(line)
            item = Outcome(**values) if "status" in values else Task(**values)
        except (ValueError, TypeError) as error:
            raise storage.StorageError(
                f"{path} is damaged: it is not the plan that the run wrote. Run the same command"
                " again."
            ) from error
        yield item
