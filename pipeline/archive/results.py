"""The outputs that a folder already holds: who wrote them, and from what.

Each output that a run writes has a *stamp*: a digest of its recipe and its input. If the stamp that
a run would write is the stamp that is there, the output is up to date. Storages keep stamps in
different places (see `StampPlace`): with each file, in a journal (`journal.py`), or only in the
record of the last run (`ledger.py`).
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import journal, ledger
from stylebeam.pipeline.archive.records import Outcome, Task
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
        source: the input's path relative to the input's folder, so that an archive can be moved.
        version: the input's version.
    """
    return hashlib.sha256(json.dumps([recipe, source, version]).encode()).hexdigest()[:32]


def has_old_stamp(result: Result, recipe: str, path: str, version: str) -> bool:
    """Return whether a result has the stamp that was given before stamps held relative paths.

    Args:
        result: what exists in the place of an output.
        recipe: the digest of the output's recipe.
        path: the path or URI of its input.
        version: the input's version.
    """
    return result.stamp is not None and result.stamp == stamp(
        recipe, storage.place_of(path), version
    )


class Results:
    """The files in an output folder.

    Attributes:
        of: what is known about each file, by path or URI.
    """

    def __init__(self, folder: str) -> None:
        """List an output folder.

        Raises:
            StorageError: the folder cannot be listed, or its stamps cannot be read.
        """
        self._closed: dict[str, str] = {}

        def enter(path: str, is_link: bool) -> bool:
            if is_link:
                self._closed[path] = f"{path} is a link to a folder, which is not followed."
            return not is_link

        files = storage.walk(folder, storage.everything_in(folder), enter, self._closed.__setitem__)
        match storage.stamp_place(folder):
            case StampPlace.FILE:
                found = _stamped_results(files)
            case StampPlace.JOURNAL:
                found = _journaled_results(folder, files)
            case StampPlace.RECORD:
                found = _recorded_results(folder, files)
        self.of = dict(found)

    def mistake_at(self, output: str) -> str | None:
        """Say why it is unknown whether an output exists; None if it is known."""
        for folder, reason in self._closed.items():
            if output.startswith(f"{folder}/"):
                return f"{reason} An output that may be there is not replaced."
        return None


def write_result(task: Task, image_format: str, data: bytes) -> None:
    """Write a task's output with its stamp, so that a later run knows what it was made from.

    Raises:
        StorageError: it cannot be written, or would replace its own input or a file that nobody
            knew of when the run was planned.
    """
    # The plan is checked for this. But it may have been made on another machine, or long ago.
    if storage.same_place(task.output, task.input):
        raise storage.StorageError(f"{task.output} is the input; inputs are never overwritten.")
    storage.refuse_links(task.folder, task.output)
    if storage.stamp_place(task.folder) is StampPlace.JOURNAL:
        with storage.errors_of(task.input, "read"):
            modified = os.stat(task.input).st_mtime_ns if task.keep_time else None
        with storage.errors_of(task.output, "written"):
            is_new = not task.replaces
            journal.write_output(task.folder, task.output, data, task.stamp, is_new, modified)
    else:
        mime_type = f"image/{image_format}"
        storage.write(task.output, data, mime_type, task.stamp, task.replaces)


def tidy(folder: str) -> None:
    """Remove what killed runs left unfinished in an output folder, and compact its journal.

    Raises:
        StorageError: a file cannot be removed, or the journal cannot be written.
    """
    storage.remove_unfinished(folder)
    if storage.stamp_place(folder) is StampPlace.JOURNAL:
        with storage.errors_of(journal.path_of(folder), "written"):
            journal.compact(folder)


def renew_stamps(folder: str, outcomes: Iterable[Outcome]) -> None:
    """Give outputs that are up to date the stamps of their outcomes, in place of older ones.

    Args:
        folder: the batch's output folder.
        outcomes: of outputs that are up to date.

    Raises:
        StorageError: the journal cannot be read or written.
    """
    # A record holds the new stamps already. In a bucket, nothing can be moved and keep its version.
    if storage.stamp_place(folder) is not StampPlace.JOURNAL:
        return
    with storage.errors_of(journal.path_of(folder), "written"):
        entries = journal.read(folder)
        for outcome in outcomes:
            output = os.path.relpath(outcome.output, folder)
            entry = entries.get(output)
            if entry and entry.stamp and outcome.stamp and entry.stamp != outcome.stamp:
                journal.finish(folder, output, outcome.stamp, entry.size)


def _stamped_results(files: Iterable[StoredFile]) -> Iterator[tuple[str, Result]]:
    for file in files:
        yield file.path, Result(file.version, file.stamp is not None, file.stamp)


def _journaled_results(folder: str, files: Iterable[StoredFile]) -> Iterator[tuple[str, Result]]:
    with storage.errors_of(journal.path_of(folder), "read"):
        entries = journal.read(folder)
    if not os.path.isdir(folder):
        return
    for file in files:
        entry = entries.pop(os.path.relpath(file.path, folder), None)
        if entry is None or (entry.stamp is not None and entry.size != file.size):
            yield file.path, Result(file.version, ours=False, stamp=None)
        else:
            yield file.path, Result(file.version, ours=True, stamp=entry.stamp)


def _recorded_results(folder: str, listed: Iterable[StoredFile]) -> Iterator[tuple[str, Result]]:
    files = list(listed)
    stamps = {}
    if any(file.path == ledger.outcomes_path(folder) for file in files):
        # The folder may have been moved since.
        folders = {batch["name"]: batch["output"] for batch in ledger.read_run(folder)}
        for outcome in ledger.read_outcomes(folder):
            if outcome.error is None:
                before = folders.get(outcome.batch, folder)
                relative = outcome.output.removeprefix(before).lstrip("/")
                stamps[storage.join(folder, relative)] = outcome.stamp
    for file in files:
        # A file that someone else wrote looks the same as one that a killed run wrote.
        yield file.path, Result(file.version, ours=True, stamp=stamps.get(file.path))
