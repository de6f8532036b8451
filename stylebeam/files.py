"""Atomic writing of files: a file either has all of its contents or does not appear."""

import contextlib
import fcntl
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

PREFIX = ".stylebeam-"
"""What the names of temporary files and folders start with."""

_SUFFIX = ".part"


def write_whole(
    path: str | Path,
    data: bytes,
    before_it_appears: Callable[[], None] = lambda: None,
    modified: int | None = None,
) -> None:
    """Write a local file atomically, and create its folders.

    The data are written to a temporary file in the same folder, which is then renamed.

    Args:
        path: of the file.
        data: its contents.
        before_it_appears: called when all data are on disk, just before the file is renamed.
        modified: when the file was last changed, in nanoseconds since 1970; None for now.

    Raises:
        OSError: the file cannot be written; an existing file is left unchanged.
    """
    folder = os.path.dirname(path)
    os.makedirs(folder or ".", exist_ok=True)
    temporary = os.path.join(folder, f"{PREFIX}{uuid.uuid4().hex}{_SUFFIX}")
    try:
        with open(temporary, "xb") as file:
            # The lock tells `remove_leftover` that a process is still writing. Some network drives
            # do not support locks; temporary files of killed processes are never removed there.
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            file.write(data)
            file.flush()
            if modified is not None:
                os.utime(file.fileno(), ns=(time.time_ns(), modified))
            os.fsync(file.fileno())
            before_it_appears()
            os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def is_unfinished(path: str) -> bool:
    """Return whether a file has the name of a temporary file of `write_whole`."""
    name = os.path.basename(path)
    return name.startswith(PREFIX) and name.endswith(_SUFFIX)


def remove_leftover(path: str) -> None:
    """Remove the temporary file of a killed process, unless a process is still writing it.

    Args:
        path: of a file for which `is_unfinished` is true.

    Raises:
        OSError: it cannot be removed.
    """
    with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        os.unlink(path)
