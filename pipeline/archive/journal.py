"""What runs have written to a folder of the local disk, so that a kill loses nothing.

`_stylebeam/journal.jsonl` gets a line before an output appears, and another, with the output's
stamp and size, once it is there. An output of which there is but the first was under way at a kill;
one that is not in the journal is someone else's. (In a bucket each object has its own stamp.)
"""

import errno
import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from stylebeam.files import write_whole

_JOURNAL = "_stylebeam/journal.jsonl"
# Lines about each output beyond which the journal is written anew.
_LINES_WORTH_KEEPING = 4


class Entry(NamedTuple):
    """What the journal says of an output.

    Attributes:
        stamp: of the input and recipe that it is of; None if it was under way.
        size: in bytes.
    """

    stamp: str | None
    size: int


def path_of(folder: str) -> str:
    """Return where the journal of a folder is."""
    return os.path.join(folder, _JOURNAL)


def begin(folder: str, output: str) -> None:
    """Note that an output is about to appear. The note is on the disk before this returns.

    Args:
        folder: of the batch's outputs.
        output: path relative to it.

    Raises:
        OSError: the journal cannot be written.
    """
    _append(folder, {"output": output}, synced=True)


def finish(folder: str, output: str, stamp: str, size: int) -> None:
    """Note that an output has appeared.

    Args:
        folder: of the batch's outputs.
        output: path relative to it.
        stamp: of its input and recipe.
        size: in bytes.

    Raises:
        OSError: the journal cannot be written.
    """
    _append(folder, {"output": output, "stamp": stamp, "size": size}, synced=False)


def read(folder: str) -> dict[str, Entry]:
    """Return what the journal of a folder says last of each output, by path relative to it.

    Raises:
        OSError: the journal is there and cannot be read.
    """
    return _read(folder)[0]


def compact(folder: str) -> None:
    """Write the journal of a folder anew if most of it is about what has been done again since.

    Raises:
        OSError: it cannot be read or written.
    """
    entries, lines = _read(folder)
    if lines <= _LINES_WORTH_KEEPING * (len(entries) + 1000):
        return
    text = "".join(_line({"output": output, **_values(entry)}) for output, entry in entries.items())
    write_whole(path_of(folder), text.encode())


def _append(folder: str, values: dict[str, str | int], synced: bool) -> None:
    path = path_of(folder)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # One write at the end of the file: lines of several processes do not mix.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        line = _line(values).encode()
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, "No space left on device", path)
        if synced:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _line(values: dict[str, str | int]) -> str:
    # A line that a full disk has cut short must not spoil the next.
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
                    # Empty, or cut short by a power cut: its image is done again.
                    continue
                if isinstance(values, dict) and "output" in values:
                    yield values
    except FileNotFoundError:
        return
