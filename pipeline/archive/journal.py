"""The journal of an output folder on the local disk: what runs have written there.

`_stylebeam/journal.jsonl` has one line written just before an output appears, and another with the
output's stamp, size, version and digest once it is there. So a killed run loses nothing: an output
with only the first line was being written when the run was killed, and an output without any line
is not ours. The version, which holds the time of last change, and the digest tell an output from a
file that someone has edited in place.

Lines that are damaged are left out and counted; `results.py` says so, and takes back what the
outcomes of the last run prove.
"""

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from stylebeam.files import write_whole
from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.names import from_record, to_record
from stylebeam.pipeline.archive.records import parse_object
from stylebeam.pipeline.storage import StoredFile

_JOURNAL = "_stylebeam/journal.jsonl"
# The journal is compacted when it has more lines than this for each output, give or take some.
_MAX_LINES_PER_OUTPUT = 4
_LINES_TO_SPARE = 4000


class Entry(NamedTuple):
    """What the journal says about an output.

    Attributes:
        stamp: the stamp of the output; None if its write was started and not finished.
        size: in bytes; 0 if the write was not finished.
        version: of the file when it was written, as storage lists it: on the local disk, the size
            and the time of last change. None in journals that kept the size alone.
        digest: of its contents, from `digest_of`; None likewise.
    """

    stamp: str | None
    size: int
    version: str | None = None
    digest: str | None = None


_STARTED = Entry(None, 0)


class Journal(NamedTuple):
    """What a journal holds.

    Attributes:
        entries: the last entry of each output, by path relative to the folder.
        lines: how many lines it has.
        damaged: how many other lines it has that cannot be read.
        exists: whether there is a journal.
    """

    entries: dict[str, Entry]
    lines: int
    damaged: int
    exists: bool


def path_of(folder: str) -> str:
    """Return the path of a folder's journal."""
    return os.path.join(folder, _JOURNAL)


def digest_of(data: bytes) -> str:
    """Return a digest of an output's contents."""
    return hashlib.sha256(data).hexdigest()[:32]


def write_output(
    folder: str,
    path: str,
    data: bytes,
    stamp: str,
    is_new: bool,
    modified: int | None = None,
) -> Entry:
    """Write an output, whole or not at all, record it in the journal, and return its entry.

    Args:
        folder: the batch's output folder.
        path: the output's path, in that folder.
        data: the output's contents.
        stamp: the output's stamp.
        is_new: whether a file that exists and that no run wrote must not be replaced.
        modified: the output's time, in nanoseconds since 1970; None for now.

    Raises:
        FileExistsError: there is such a file.
        OSError: the output or the journal cannot be written.
    """
    output = os.path.relpath(path, folder)

    def before_it_appears() -> None:
        # On many volumes, a file named A.jpg is in the place of a.jpg.
        exists = os.path.lexists(path) and not os.path.isdir(path)
        if is_new and exists and output not in read(folder):
            raise FileExistsError(
                errno.EEXIST,
                "a file appeared there during the run, or is there under a name that differs in"
                " case: it is left as it is",
            )
        start(folder, output)

    write_whole(path, data, before_it_appears, modified)
    written = storage.file_at(path)
    version = written.version if written else "deleted"
    entry = Entry(stamp, len(data), version, digest_of(data))
    record(folder, {output: entry})
    return entry


def start(folder: str, output: str) -> None:
    """Record that an output is about to appear. The line is on the disk when this returns.

    Args:
        folder: the batch's output folder.
        output: path relative to it.

    Raises:
        OSError: the journal cannot be written.
    """
    _append(folder, _line(output, _STARTED), sync=True)


def record(folder: str, entries: Mapping[str, Entry]) -> None:
    """Record outputs that are there.

    Args:
        folder: the batch's output folder.
        entries: by path relative to it.

    Raises:
        OSError: the journal cannot be written.
    """
    if entries:
        text = "".join(_line(output, entry) for output, entry in entries.items())
        _append(folder, text, sync=False)


def is_unchanged(entry: Entry, file: StoredFile) -> bool:
    """Return whether a file is still what an entry says.

    A file with the recorded size and version is trusted. If the size alone is equal, as in a copied
    archive, the contents decide.

    Args:
        entry: of an output whose write was finished.
        file: the file as it was listed.

    Raises:
        StorageError: the file cannot be read.
    """
    if file.size != entry.size:
        return False
    if entry.version is None or entry.version == file.version:
        return True
    return digest_of(storage.read(file.path)) == entry.digest


def read(folder: str) -> dict[str, Entry]:
    """Return the last entry of each output in a folder's journal, by path relative to the folder.

    A folder without a journal has no entries.

    Raises:
        OSError: the journal cannot be read.
    """
    return read_all(folder).entries


def read_all(folder: str) -> Journal:
    """Return what a folder's journal holds.

    Raises:
        OSError: the journal cannot be read.
    """
    entries: dict[str, Entry] = {}
    lines = damaged = 0
    try:
        for line in _lines(folder):
            if line is None:
                damaged += 1
                continue
            output, entry = line
            entries[output] = entry
            lines += 1
    except FileNotFoundError:
        return Journal({}, 0, 0, exists=False)
    return Journal(entries, lines, damaged, exists=True)


def compact(folder: str) -> None:
    """Rewrite a folder's journal with one line per output.

    This is done if the journal has many more lines than that, or damaged ones.

    Raises:
        OSError: it cannot be read or written.
    """
    journal = read_all(folder)
    most = _MAX_LINES_PER_OUTPUT * len(journal.entries) + _LINES_TO_SPARE
    if journal.lines > most or journal.damaged:
        text = "".join(_line(output, entry) for output, entry in journal.entries.items())
        write_whole(path_of(folder), text.encode())


def _append(folder: str, text: str, sync: bool) -> None:
    path = path_of(folder)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # A single write in append mode: the lines of several processes do not mix.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        data = text.encode()
        if os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, "No space left on device", path)
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _line(output: str, entry: Entry) -> str:
    values = {"output": to_record(output)}
    if entry.stamp is not None:
        values |= {name: value for name, value in entry._asdict().items() if value is not None}
    # It starts with a newline because a full disk may have cut the line before it short.
    return f"\n{json.dumps(values)}\n"


def _lines(folder: str) -> Iterator[tuple[str, Entry] | None]:
    """Yield the output and the entry of each line that is not empty; None for a damaged one."""
    with open(path_of(folder), "rb") as file:
        for line in file:
            if line.strip():
                yield _parsed(line)


def _parsed(line: bytes) -> tuple[str, Entry] | None:
    try:
        values = parse_object(line)
    except ValueError:
        # A full disk or a power failure cut it short, or someone edited it.
        return None
    output, stamp = values.get("output"), values.get("stamp")
    if not isinstance(output, str) or not output or "\0" in output:
        return None
    if stamp is None:
        return from_record(output), _STARTED
    entry = Entry(stamp, values.get("size"), values.get("version"), values.get("digest"))  # type: ignore[arg-type]
    return (from_record(output), entry) if _is_valid(entry) else None


def _is_valid(entry: Entry) -> bool:
    """Return whether the values of an entry from a file have the right types."""
    stamp, size, version, digest = entry
    return (
        isinstance(stamp, str)
        and type(size) is int
        and size >= 0
        and isinstance(version, str | None)
        and isinstance(digest, str | None)
        and (version is None) == (digest is None)
    )
