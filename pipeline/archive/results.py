"""What is in an output folder already, whose it is, and what it was made of; and what is added.

An output's stamp stands for the contents of its input and for its recipe. A bucket keeps it with
the object, a folder of the local disk in its journal (`journal.py`), and storage of any other kind
in the record of the last run that finished.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from typing import Literal, NamedTuple

from stylebeam.files import is_unfinished, remove_leftover, write_whole
from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import journal, ledger
from stylebeam.pipeline.archive.records import Task
from stylebeam.pipeline.storage import google_cloud

Overwrite = Literal["changed", "always", "never"]


class Result(NamedTuple):
    """An output that is there.

    Attributes:
        version: of the file.
        ours: whether a run wrote it, and nobody has changed it since.
        stamp: what it was made of; None if that is not known.
    """

    version: str
    ours: bool
    stamp: str | None


def stamp(recipe: str, source: str, version: str) -> str:
    """Return a name of all that decides an output's bytes.

    Args:
        recipe: the recipe's digest.
        source: where the input is, written in one way.
        version: of the input.
    """
    return hashlib.sha256(json.dumps([recipe, source, version]).encode()).hexdigest()[:32]


def results_in(folder: str) -> dict[str, Result]:
    """Return what is in an output folder, by path or URI.

    Raises:
        StorageError: the folder cannot be listed, or its journal not be read.
    """
    if storage.is_bucket(folder):
        return {
            file.path: Result(file.version, file.stamp is not None, file.stamp)
            for file in _files(folder)
        }
    return dict(_other_results(folder) if storage.is_remote(folder) else _local_results(folder))


def write_result(task: Task, image_format: str, data: bytes, deadline: float) -> None:
    """Write a task's output so that a later run knows it.

    Raises:
        StorageError: it cannot be written.
    """
    mime_type = f"image/{image_format}"
    with storage.errors_of(task.output, "written"):
        if storage.is_bucket(task.output):
            google_cloud.write(task.output, data, mime_type, task.stamp, task.replaces, deadline)
        elif storage.is_remote(task.output):
            storage.write(task.output, data, mime_type)
        else:
            output = os.path.relpath(task.output, task.folder)
            write_whole(task.output, data, lambda: journal.begin(task.folder, output))
            journal.finish(task.folder, output, task.stamp, len(data))


def tidy(folder: str) -> None:
    """Remove from an output folder what killed runs have begun and not finished.

    Raises:
        StorageError: it cannot be removed.
    """
    if storage.is_remote(folder):
        return
    for file in _files(folder):
        if is_unfinished(file.path):
            with storage.errors_of(file.path, "removed"):
                remove_leftover(file.path)
    with storage.errors_of(journal.path_of(folder), "written"):
        journal.compact(folder)


def _files(folder: str) -> Iterator[storage.StoredFile]:
    if storage.is_remote(folder) or os.path.isdir(folder):
        yield from storage.list_files(folder, storage.everything_in(folder))


def _local_results(folder: str) -> Iterator[tuple[str, Result]]:
    with storage.errors_of(journal.path_of(folder), "read"):
        entries = journal.read(folder)
    for file in _files(folder):
        entry = entries.pop(os.path.relpath(file.path, folder), None)
        if entry is None or (entry.stamp is not None and entry.size != file.size):
            yield file.path, Result(file.version, ours=False, stamp=None)
        else:
            yield file.path, Result(file.version, ours=True, stamp=entry.stamp)


def _other_results(folder: str) -> Iterator[tuple[str, Result]]:
    files = list(_files(folder))
    stamps = {}
    if any(file.path == ledger.outcomes_path(folder) for file in files):
        for outcome in ledger.read_outcomes(folder):
            if outcome.error is None:
                stamps[outcome.output] = outcome.stamp
    for file in files:
        # Whether a file is someone else's or a killed run's cannot be told here.
        yield file.path, Result(file.version, ours=True, stamp=stamps.get(file.path))
