"""The outputs that a folder already holds: who wrote them, and from what.

Each output that a run writes has a *stamp*: a digest of its recipe and its input. If the stamp that
a run would write is the stamp that is there, the output is up to date. Storages keep stamps in
different places (see `StampPlace`): with each file, in a journal (`journal.py`), or only in the
record of the last run (`ledger.py`).
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import journal, ledger
from stylebeam.pipeline.archive.inputs import RECORD_FOLDER, image_extension
from stylebeam.pipeline.archive.journal import Entry, Journal
from stylebeam.pipeline.archive.names import to_record
from stylebeam.pipeline.archive.records import Outcome, Task
from stylebeam.pipeline.storage import StampPlace, StoredFile
from stylebeam.pipeline.wording import counted

Overwrite = Literal["changed", "always", "never"]

_UNKNOWN = "unknown"
"""The version in an entry whose file was not listed when it was written; no file has it."""


class Result(NamedTuple):
    """A file in an output folder.

    Attributes:
        version: the file's version.
        ours: whether a run wrote it, and nobody has changed it since.
        stamp: the stamp that the run gave it; None if it is unknown.
        digest: of its contents, if a journal has it.
    """

    version: str
    ours: bool
    stamp: str | None
    digest: str | None = None


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
        recipe, to_record(storage.place_of(path)), version
    )


class Results:
    """The files in an output folder.

    Attributes:
        of: what is known about each file, by path or URI.
        recovered: the entries that the journal lacks, or has with an older version of the file, and
            that digests prove; see `recover`.
        notes: a sentence for each part of the record that is lost or damaged.
    """

    def __init__(self, folder: str) -> None:
        """List an output folder.

        Raises:
            StorageError: the folder cannot be listed, or its stamps cannot be read.
        """
        self.recovered: dict[str, Entry] = {}
        self.notes: list[str] = []
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
                found = self._journaled_results(folder, files)
            case StampPlace.RECORD:
                found = _recorded_results(folder, files, self.notes.append)
        self.of = dict(found)

    def _journaled_results(
        self, folder: str, files: Iterable[StoredFile]
    ) -> Iterator[tuple[str, Result]]:
        with storage.errors_of(journal.path_of(folder), "read"):
            found = journal.read_all(folder)
        entries = found.entries
        if not os.path.isdir(folder):
            return
        unaccounted = []
        for file in files:
            output = os.path.relpath(file.path, folder)
            entry = entries.pop(output, None)
            if entry and entry.stamp is None:
                yield file.path, Result(file.version, ours=True, stamp=None)
            elif entry and _is_unchanged(entry, file):
                yield file.path, Result(file.version, True, entry.stamp, entry.digest)
                if entry.version not in (None, file.version):
                    self.recovered[output] = entry._replace(version=file.version)
            elif image_extension(file.path):
                unaccounted.append(file)
            elif RECORD_FOLDER not in output.split(os.sep):
                yield file.path, Result(file.version, ours=False, stamp=None)
        known = len(self.recovered)
        yield from self._recorded_or_foreign(folder, unaccounted)
        self._note_losses(folder, found, len(unaccounted), len(self.recovered) - known)

    def _recorded_or_foreign(
        self, folder: str, files: Sequence[StoredFile]
    ) -> Iterator[tuple[str, Result]]:
        """Yield files that the journal does not account for.

        They are ours if the outcomes of the last run have their digests.
        """
        recorded = _recorded_entries(folder, self.notes.append) if files else {}
        for file in files:
            output = os.path.relpath(file.path, folder)
            entry = recorded.get(output)
            # The record does not have the size; the digest decides.
            if entry and _is_unchanged(entry._replace(size=file.size), file):
                self.recovered[output] = entry._replace(size=file.size, version=file.version)
                yield file.path, Result(file.version, True, entry.stamp, entry.digest)
            else:
                yield file.path, Result(file.version, ours=False, stamp=None)

    def _note_losses(self, folder: str, found: Journal, unaccounted: int, recovered: int) -> None:
        """Say in one sentence what the journal lacks, and how much of it was recovered.

        Args:
            folder: the output folder.
            found: its journal.
            unaccounted: how many images the journal does not account for.
            recovered: how many of them the outcomes of the last run prove to be outputs.
        """
        path = journal.path_of(folder)
        if found.damaged:
            loss = f"{path} has {counted(found.damaged, 'damaged line')}, left out"
        elif unaccounted and not found.exists and storage.exists(ledger.run_path(folder)):
            loss = f"{path}, the record of what runs have written, is missing"
        elif recovered:
            loss = f"{path} is incomplete"
        else:
            return
        if unaccounted:
            loss += (
                f"; of {counted(unaccounted, 'image')} that it does not account for,"
                f" {recovered:,} were recognized by their digests in outcomes.jsonl"
            )
        if unaccounted > recovered:
            loss += ", and the others count as not written by a run"
        self.notes.append(f"{loss}.")

    def mistake_at(self, output: str) -> str | None:
        """Say why it is unknown whether an output exists; None if it is known."""
        for folder, reason in self._closed.items():
            if output.startswith(f"{folder}/"):
                return f"{reason} An output that may be there is not replaced."
        return None


def write_result(task: Task, image_format: str, data: bytes) -> str | None:
    """Write a task's output with its stamp, so that a later run knows what it was made from.

    Returns:
        The digest of the output for its outcome, from which a lost journal is recovered; None where
        stamps are not kept in a journal.

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
            return journal.write_output(
                task.folder, task.output, data, task.stamp, is_new, modified
            ).digest
    storage.write(task.output, data, f"image/{image_format}", task.stamp, task.replaces)
    return None


def tidy(folder: str) -> None:
    """Remove what killed runs left unfinished in an output folder, and compact its journal.

    Raises:
        StorageError: a file cannot be removed, or the journal cannot be written.
    """
    storage.remove_unfinished(folder)
    if storage.stamp_place(folder) is StampPlace.JOURNAL:
        with storage.errors_of(journal.path_of(folder), "written"):
            journal.compact(folder)


def recover(folder: str, entries: Mapping[str, Entry]) -> None:
    """Take entries that digests prove back into a folder's journal.

    Args:
        folder: the output folder.
        entries: `Results.recovered` of that folder.

    Raises:
        StorageError: the journal cannot be written.
    """
    if entries:
        with storage.errors_of(journal.path_of(folder), "written"):
            journal.record(folder, entries)


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
        renewed = {}
        for outcome in outcomes:
            output = os.path.relpath(outcome.output, folder)
            entry = entries.get(output)
            if entry and entry.stamp and outcome.stamp and entry.stamp != outcome.stamp:
                renewed[output] = entry._replace(stamp=outcome.stamp)
        journal.record(folder, renewed)


def _stamped_results(files: Iterable[StoredFile]) -> Iterator[tuple[str, Result]]:
    for file in files:
        yield file.path, Result(file.version, file.stamp is not None, file.stamp)


def _is_unchanged(entry: Entry, file: StoredFile) -> bool:
    """Return whether a file is what a run wrote; not if it cannot be read to find out."""
    try:
        return journal.is_unchanged(entry, file)
    except storage.StorageError:
        return False


def _recorded_entries(folder: str, note: Callable[[str], None]) -> dict[str, Entry]:
    """Return entries for the outputs that the last run has recorded, by relative path."""
    if not storage.exists(ledger.outcomes_path(folder)):
        return {}
    folders = _recorded_folders(folder, note)
    found = {}
    for outcome in ledger.read_outcomes(folder, note):
        if outcome.error is None and outcome.stamp and outcome.digest:
            # The folder may have been moved since.
            output = os.path.relpath(outcome.output, folders.get(outcome.batch, folder))
            found[output] = Entry(outcome.stamp, 0, _UNKNOWN, outcome.digest)
    return found


def _recorded_folders(folder: str, note: Callable[[str], None]) -> dict[str, str]:
    """Return the output folder of each batch of the last run; it may have been moved since."""
    if not storage.exists(ledger.run_path(folder)):
        return {}
    return {batch["name"]: batch.get("output", folder) for batch in ledger.read_run(folder, note)}


def _recorded_results(
    folder: str, listed: Iterable[StoredFile], note: Callable[[str], None]
) -> Iterator[tuple[str, Result]]:
    files = list(listed)
    stamps = {}
    if any(file.path == ledger.outcomes_path(folder) for file in files):
        folders = _recorded_folders(folder, note)
        for outcome in ledger.read_outcomes(folder, note):
            if outcome.error is None:
                before = folders.get(outcome.batch, folder)
                relative = outcome.output.removeprefix(before).lstrip("/")
                stamps[storage.join(folder, relative)] = outcome.stamp
    for file in files:
        # A file that someone else wrote looks the same as one that a killed run wrote.
        yield file.path, Result(file.version, ours=True, stamp=stamps.get(file.path))
