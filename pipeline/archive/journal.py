"""The journal of an output folder on the local disk: what runs have written there.

`_stylebeam/journal.jsonl` has one line written just before an output appears, and another with the
output's stamp and size once it is there. So a killed run loses nothing: an output with only the
first line was being written when the run was killed, and an output without any line is not ours.
"""

import errno
import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from stylebeam.files import write_whole

_JOURNAL = "_stylebeam/journal.jsonl"
# The journal is compacted when it has more lines than this for each output, give or take some.
_MAX_LINES_PER_OUTPUT = 4
_LINES_TO_SPARE = 4000


class Entry(NamedTuple):
    """What the journal says about an output.

    Attributes:
        stamp: the stamp of the output; None if its write was started and not finished.
        size: in bytes; 0 if the write was not finished.
    """

    stamp: str | None
    size: int


def path_of(folder: str) -> str:
    """Return the path of a folder's journal."""
    return os.path.join(folder, _JOURNAL)


def write_output(
    folder: str,
    path: str,
    data: bytes,
    stamp: str,
    is_new: bool,
    modified: int | None = None,
) -> None:
    """Write an output, whole or not at all, and record it in the journal.

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
    finish(folder, output, stamp, len(data))


def start(folder: str, output: str) -> None:
    """Record that an output is about to appear. The line is on the disk when this returns.

    Args:
        folder: the batch's output folder.
        output: path relative to it.

    Raises:
        OSError: the journal cannot be written.
    """
    _append(folder, {"output": output}, sync=True)


def finish(folder: str, output: str, stamp: str, size: int) -> None:
    """Record that an output has appeared.

    Args:
        folder: the batch's output folder.
        output: path relative to it.
        stamp: the output's stamp.
        size: in bytes.

    Raises:
        OSError: the journal cannot be written.
    """
    _append(folder, {"output": output, "stamp": stamp, "size": size}, sync=False)


def read(folder: str) -> dict[str, Entry]:
    """Return the last entry of each output in a folder's journal, by path relative to the folder.

    A folder without a journal has no entries.

    Raises:
        OSError: the journal cannot be read.
    """
    return _read(folder)[0]


def compact(folder: str) -> None:
    """Rewrite a folder's journal with one line per output, if it has many more lines than that.

    Raises:
        OSError: it cannot be read or written.
    """
    entries, lines = _read(folder)
    if lines <= _MAX_LINES_PER_OUTPUT * len(entries) + _LINES_TO_SPARE:
        return
    text = "".join(_line({"output": output, **_values(entry)}) for output, entry in entries.items())
    write_whole(path_of(folder), text.encode())


def _append(folder: str, values: dict[str, str | int], sync: bool) -> None:
    path = path_of(folder)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # A single write in append mode: the lines of several processes do not mix.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        line = _line(values).encode()
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, "No space left on device", path)
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _line(values: dict[str, str | int]) -> str:
    # It starts with a newline because a full disk may have cut the line before it short.
    return f"\n{json.dumps(values)}\n"


def _values(entry: Entry) -> dict[str, str | int]:
    return {} if entry.stamp is None else {"stamp": entry.stamp, "size": entry.size}


def _read(folder: str) -> tuple[dict[str, Entry], int]:
    """Return the last entry of each output, and the number of lines."""
    entries: dict[str, Entry] = {}
    lines = 0
    for values in _lines(folder):
        entries[values["output"]] = Entry(values.get("stamp"), values.get("size", 0))
        lines += 1
    return entries, lines


def _lines(folder: str) -> Iterator[dict[str, Any]]:
    try:
        with open(path_of(folder), encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    values = json.loads(line)
                except ValueError:
                    # The line is empty, or a power failure cut it short: its photo is redone.
                    continue
                if isinstance(values, dict) and "output" in values:
                    yield values
    except FileNotFoundError:
        return
