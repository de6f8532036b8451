"""List, read and write files: on the local disk, in Google's storage, or wherever Beam can.

Each function takes a path or URI and asks the storage that it belongs to (see `registry`). What a
storage must do is in `contract`.
"""

import contextlib
import glob
import os
import posixpath
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar

from stylebeam.pipeline.storage.bounds import MAX_BYTES
from stylebeam.pipeline.storage.contract import (
    StampPlace,
    StorageError,
    StoredFile,
    folded,
)
from stylebeam.pipeline.storage.deadlines import (
    DEFAULT_DEADLINE,
    deadline,
    finish_in_time,
    set_deadline,
)
from stylebeam.pipeline.storage.patterns import matches
from stylebeam.pipeline.storage.registry import storage_of

__all__ = [
    "DEFAULT_DEADLINE",
    "MAX_BYTES",
    "StampPlace",
    "StorageError",
    "StoredFile",
    "deadline",
    "folded",
    "matches",
    "set_deadline",
]

T = TypeVar("T")

# How many files of a listing must be found within the deadline: an archive may be of any size.
_FILES_IN_TIME = 1000

_VARIABLE = re.compile(r"(?:^|/)(\$(?:[A-Za-z_]\w*|\{\w+\}))(?=/|$)")


def list_files(folder: str, pattern: str) -> Iterator[StoredFile]:
    """Yield the files below a folder whose paths match a pattern.

    Args:
        folder: the location that the pattern starts with, without wildcards.
        pattern: a glob as Beam defines it: `*` stays in a folder, `**` does not.

    Raises:
        StorageError: a folder cannot be listed.
    """
    with errors_of(pattern, "listed"):
        for file in _in_time(pattern, lambda: storage_of(pattern).list_files(folder, pattern)):
            if matches(pattern, file.path):
                yield file


def walk(
    folder: str,
    pattern: str,
    enter: Callable[[str, bool], bool] = lambda path, is_link: True,
    unreadable: Callable[[str, str], None] = lambda path, reason: None,
) -> Iterator[StoredFile]:
    """Yield the files below a folder whose paths match a pattern; leave out folders.

    A storage without folders, such as a bucket, does not ask which to leave out.

    Args:
        folder: the location that the pattern starts with, without wildcards.
        pattern: a glob as Beam defines it: `*` stays in a folder, `**` does not.
        enter: receives the location of each folder below, and whether it is a link, which is not
            followed; returns whether to list the folder.
        unreadable: receives the location of each folder below that cannot be listed, and a
            sentence that says why.

    Raises:
        StorageError: `folder` itself cannot be listed.
    """
    with errors_of(pattern, "listed"):
        walk_all = storage_of(pattern).walk
        for file in _in_time(pattern, lambda: walk_all(folder, pattern, enter, unreadable)):
            if matches(pattern, file.path):
                yield file


def everything_in(folder: str) -> str:
    """Return the pattern of all files in a folder and below."""
    return join(glob.escape(folder), "**")


def file_at(path: str) -> StoredFile | None:
    """Return the file at a path or URI, or None if there is none.

    Raises:
        StorageError: it cannot be found out.
    """
    with errors_of(path, "looked up"):
        return _finish(path, lambda: storage_of(path).file_at(path))


def exists(path: str) -> bool:
    """Return whether there is a file at a path or URI.

    Raises:
        StorageError: it cannot be found out.
    """
    return file_at(path) is not None


def read(path: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the contents of a file.

    Args:
        path: a path or URI.
        max_bytes: a file with more bytes is not read, or no further.

    Raises:
        StorageError: it cannot be read.
    """
    with errors_of(path, "read"):
        return _finish(path, lambda: storage_of(path).read(path, max_bytes))


def write(
    path: str,
    data: bytes,
    mime_type: str = "application/octet-stream",
    stamp: str | None = None,
    replaces: str | None = None,
) -> None:
    """Write a file, whole or not at all; create its folders.

    Args:
        path: a path or URI.
        data: its contents.
        mime_type: the type of its contents.
        stamp: to be kept with the file, if its `stamp_place` is `FILE`.
        replaces: write only if the file now has this version, or does not exist if it is ""; None
            to replace any file. Only a storage whose `stamp_place` is `FILE` checks it.

    Raises:
        StorageError: it cannot be written.
    """
    with errors_of(path, "written"):
        _finish(path, lambda: storage_of(path).write(path, data, mime_type, stamp, replaces))


def delete(path: str) -> None:
    """Delete a file; do nothing if it does not exist.

    Raises:
        StorageError: it cannot be deleted.
    """
    with errors_of(path, "deleted"):
        _finish(path, lambda: storage_of(path).delete(path))


def remove_unfinished(folder: str) -> None:
    """Remove from a folder what killed processes started to write and did not finish.

    Raises:
        StorageError: the folder cannot be listed, or a file not be removed.
    """
    with errors_of(folder, "cleaned up"):
        storage_of(folder).remove_unfinished(folder)


def is_remote(location: str) -> bool:
    """Return whether each access to a location is a request over a network."""
    return storage_of(location).is_remote


def stamp_place(folder: str) -> StampPlace:
    """Return where the stamps of outputs in a folder are kept."""
    return storage_of(folder).stamp_place


def mistake_in(location: str) -> str | None:
    """Say why a location is invalid whatever the storage holds; None if it is valid."""
    if "\0" in location:
        return "must not hold a null character"
    if (found := _VARIABLE.search(location)) and not os.path.lexists(location[: found.end()]):
        return (
            f"{location} holds the variable {found[1]}, which is not replaced; write out the path,"
            " with ~ for your home folder"
        )
    return storage_of(location).mistake_in(location)


def mistake_in_output(folder: str) -> str | None:
    """Say why a location cannot be a folder for outputs, without a request; None if it can be."""
    if mistake := mistake_in(folder):
        return mistake
    if ("*" in folder or "?" in folder) and not os.path.lexists(folder):
        return f"{folder} holds wildcards; an output is one folder"
    return storage_of(folder).mistake_in_output(folder)


def normalize(location: str) -> str:
    """Return a location spelled in one way, so that equal locations compare equal."""
    return storage_of(location).normalize(location)


def join(folder: str, relative: str) -> str:
    """Return the location of `relative`, a path with forward slashes, below a folder."""
    return storage_of(folder).join(folder, relative)


def real_path(location: str) -> str:
    """Return a path as an absolute one with all links followed, or a URI unchanged."""
    return storage_of(location).real_path(location)


def place_of(location: str) -> str:
    """Return what a write to a location replaces: a link itself, not the link's target."""
    return storage_of(location).place_of(location)


def refuse_links(folder: str, path: str) -> None:
    """Check that a file to be written below a folder is not reached through a link in that folder.

    A listing of the folder does not follow such a link: nobody knows what the file would replace.

    Raises:
        StorageError: it is, and would be written to another folder.
    """
    if link := storage_of(folder).link_above(folder, path):
        raise StorageError(
            f"{path} cannot be written: {link} is a link to {link_target(link)}, and links in an"
            " output folder are not followed."
        )


def link_target(location: str) -> str | None:
    """Return where a link leads, as an absolute path; None if the file is no link."""
    return storage_of(location).link_target(location)


def folder_identities(folder: str) -> list[str]:
    """Return what identifies a folder and all folders above it, from the top down.

    Two identities are equal if and only if they are of one folder, by whatever mount, link or
    spelling it is reached. The folder need not exist. Identities are valid for a short time.
    """
    return storage_of(folder).folder_identities(folder)


def identity(location: str, identify: Callable[[str], str] | None = None) -> str:
    """Return what identifies a place for a file: its folder's identity and its name.

    Args:
        location: a path or URI.
        identify: returns the identity of a folder; for many files, one that remembers folders.
    """
    folder, name = posixpath.split(location)
    return f"{identify(folder) if identify else folder_identities(folder)[-1]}/{name}"


def same_place(one: str, other: str) -> bool:
    """Return whether a file written to one location would replace the file at another.

    Raises:
        StorageError: it cannot be found out.
    """
    names = {folded(posixpath.basename(each)) for each in (one, other)}
    if len(names) == 2 or storage_of(one) is not storage_of(other):
        return False
    identities = identity(one), identity(other)
    if identities[0] == identities[1]:
        return True
    return folded(identities[0]) == folded(identities[1]) and not tells_apart(one, other)


def tells_apart(one: str, other: str) -> bool:
    """Return whether two locations that differ in case or Unicode normalization are two files.

    Raises:
        StorageError: it cannot be found out.
    """
    with errors_of(one, "written"):
        return storage_of(one).tells_apart(one, other)


@contextlib.contextmanager
def errors_of(path: str, action: str) -> Iterator[None]:
    """Turn any error within a `with` into a StorageError that says what failed and why.

    Args:
        path: the path or URI of the file.
        action: what cannot be done to it: listed, read, written.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:  # Every storage raises exceptions of its own.
        reason = storage_of(path).reason(error)
        raise StorageError(f"{path} cannot be {action}: {reason}.") from error


def _finish(path: str, work: Callable[[], T]) -> T:
    """Do an operation of a file's storage; if that is remote, within the deadline."""
    return finish_in_time(work) if is_remote(path) else work()


def _in_time(pattern: str, start: Callable[[], Iterator[StoredFile]]) -> Iterator[StoredFile]:
    """Yield the files of a listing; if the storage is remote, each thousand within the deadline."""
    if not is_remote(pattern):
        yield from start()
        return
    files = _finish(pattern, lambda: iter(start()))
    while found := _finish(pattern, lambda: list(islice(files, _FILES_IN_TIME))):
        yield from found
