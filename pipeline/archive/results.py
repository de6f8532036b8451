"""The outputs that a folder already holds: who wrote them, and from what.

Each output that a run writes has a *stamp*: a digest of its recipe and its input. If the stamp that
a run would write is the stamp that is there, the output is up to date. Storages keep stamps in
different places (see `StampPlace`): with each file, in a journal (`journal.py`), or only in the
record of the last run (`ledger.py`).
"""

import hashlib
import json
import os
from collections.abc import Iterator
from typing import Literal, NamedTuple

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import journal, ledger
from stylebeam.pipeline.archive.records import Task
from stylebeam.pipeline.storage import StampPlace, StoredFile

Overwrite = Literal["changed", "always", "never"]


class Result(NamedTuple):
    """A file in an output folder.

    Attributes:
        version: the file's version.
        ours: whether a run wrote it, and nobody has changed it since.
        stamp: the stamp that the run gave it; None if it is unknown.
    """

    version: str
    ours: bool
    stamp: str | None


def stamp(recipe: str, source: str, version: str) -> str:
    """Return a digest of everything that decides an output's bytes.

    Args:
        recipe: the recipe's digest.
        source: the input's location, spelled in one way (see `storage.place_of`).
        version: the input's version.
    """
    return hashlib.sha256(json.dumps([recipe, source, version]).encode()).hexdigest()[:32]


def results_in(folder: str) -> dict[str, Result]:
    """Return the files in an output folder, by path or URI.

    Raises:
        StorageError: the folder cannot be listed, or its stamps cannot be read.
    """
    match storage.stamp_place(folder):
        case StampPlace.FILE:
            return {
                file.path: Result(file.version, file.stamp is not None, file.stamp)
                for file in _files(folder)
            }
        case StampPlace.JOURNAL:
            return dict(_journaled_results(folder))
        case StampPlace.RECORD:
            return dict(_recorded_results(folder))


def write_result(task: Task, image_format: str, data: bytes, deadline: float) -> None:
    """Write a task's output with its stamp, so that a later run knows what it was made from.

    Raises:
        StorageError: it cannot be written, or would replace its own input or a file that nobody
            knew of when the run was planned.
    """
    # The plan is checked for this. But it may have been made on another machine, or long ago.
    if storage.same_place(task.output, task.input):
        raise storage.StorageError(f"{task.output} is the input; inputs are never overwritten.")
    if storage.stamp_place(task.folder) is StampPlace.JOURNAL:
        with storage.errors_of(task.output, "written"):
            is_new = not task.replaces
            journal.write_output(task.folder, task.output, data, task.stamp, is_new)
    else:
        mime_type = f"image/{image_format}"
        storage.write(task.output, data, mime_type, task.stamp, task.replaces, deadline)


def tidy(folder: str) -> None:
    """Remove what killed runs left unfinished in an output folder, and compact its journal.

    Raises:
        StorageError: a file cannot be removed, or the journal cannot be written.
    """
    storage.remove_unfinished(folder)
    if storage.stamp_place(folder) is StampPlace.JOURNAL:
        with storage.errors_of(journal.path_of(folder), "written"):
            journal.compact(folder)


def _files(folder: str) -> Iterator[StoredFile]:
    return storage.list_files(folder, storage.everything_in(folder))


def _journaled_results(folder: str) -> Iterator[tuple[str, Result]]:
    with storage.errors_of(journal.path_of(folder), "read"):
        entries = journal.read(folder)
    if not os.path.isdir(folder):
        return
    for file in _files(folder):
        entry = entries.pop(os.path.relpath(file.path, folder), None)
        if entry is None or (entry.stamp is not None and entry.size != file.size):
            yield file.path, Result(file.version, ours=False, stamp=None)
        else:
            yield file.path, Result(file.version, ours=True, stamp=entry.stamp)


def _recorded_results(folder: str) -> Iterator[tuple[str, Result]]:
    files = list(_files(folder))
    stamps = {}
    if any(file.path == ledger.outcomes_path(folder) for file in files):
        for outcome in ledger.read_outcomes(folder):
            if outcome.error is None:
                stamps[outcome.output] = outcome.stamp
    for file in files:
        # A file that someone else wrote looks the same as one that a killed run wrote.
        yield file.path, Result(file.version, ours=True, stamp=stamps.get(file.path))
