"""Writes files whole or not at all."""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Callable
from pathlib import Path

_PREFIX, _SUFFIX = ".stylebeam-", ".part"


def write_whole(
    path: str | Path, data: bytes, before_it_appears: Callable[[], None] = lambda: None
) -> None:
    """Write a local file under its name only once all of it is on the disk; make its folders.

    Args:
        path: of the file.
        data: what is to be in it.
        before_it_appears: is called when all is written, just before the file gets its name.

    Raises:
        OSError: it cannot be written; what was there before is as it was.
    """
    folder = os.path.dirname(path)
    os.makedirs(folder or ".", exist_ok=True)
    unfinished = os.path.join(folder, f"{_PREFIX}{uuid.uuid4().hex}{_SUFFIX}")
    try:
        with open(unfinished, "xb") as file:
            # Held for as long as this process lives and writes: see `remove_leftover`. Some network
            # drives have no locks; there leftovers stay, for nothing tells them from work.
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            before_it_appears()
            os.replace(unfinished, path)
    except BaseException:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
        raise


def is_unfinished(path: str) -> bool:
    """Whether a file's name is one that `write_whole` gives to files that it has begun."""
    name = os.path.basename(path)
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def remove_leftover(path: str) -> None:
    """Remove a file that a killed process has begun, unless a living one is still at it.

    Args:
        path: of a file of which `is_unfinished` is true.

    Raises:
        OSError: it cannot be removed.
    """
    with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        os.unlink(path)
