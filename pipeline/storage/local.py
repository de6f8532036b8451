"""Files on the local disk, or what is mounted there."""

import os
import stat
from collections.abc import Iterator

from stylebeam.files import write_whole
from stylebeam.pipeline.storage.stored_file import StorageError, StoredFile


def list_files(folder: str, pattern: str) -> Iterator[StoredFile]:
    """Yield the files of a folder, and of those below it that a pattern reaches, in order.

    (Beam's own listing passes over folders and links that cannot be read.) Links to folders are not
    followed.

    Raises:
        StorageError: a folder cannot be listed.
    """
    above = folder.rstrip("/").count("/") + 1 if folder else 0
    levels = None if "**" in pattern else pattern.count("/") - above
    for parent, folders, files in os.walk(folder or ".", onerror=_raise):
        relative = os.path.relpath(parent, folder or ".")
        level = 0 if relative == "." else relative.count("/") + 1
        # Neither hidden folders nor those below what the pattern reaches need be readable.
        deeper = levels is None or level < levels
        folders[:] = sorted(name for name in folders if deeper and not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(parent, name)
            yield describe(path if folder else os.path.normpath(path))


def describe(path: str) -> StoredFile:
    """Return what a listing says of a file."""
    try:
        found = os.stat(path)
    except OSError:
        # A link to nowhere, or just deleted: reading it says so.
        return StoredFile(path, 0, "")
    return StoredFile(path, found.st_size, f"{found.st_size}-{found.st_mtime_ns}")


def read(path: str, deadline: float) -> bytes:
    """Return a file's bytes. There is no deadline for a disk.

    Raises:
        OSError: it cannot be read, or is something else than a file.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        # A named pipe would be waited for without end.
        raise OSError(0, "it is not a regular file")
    with open(path, "rb") as file:
        return file.read()


def write(path: str, data: bytes, mime_type: str) -> None:
    """Write a file, whole or not at all; its folders are made.

    Raises:
        OSError: it cannot be written.
    """
    write_whole(path, data)


def _raise(error: OSError) -> None:
    reason = (error.strerror or "it is unknown why").lower()
    raise StorageError(f"{error.filename} cannot be listed: {reason}.") from error
