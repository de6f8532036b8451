"""The contract of a storage: what the project asks of a place that holds files.

To add a storage, write a subclass of `Storage` in a file of its own and add one row to
`registry.STORAGES`. `tests/pipeline/storage/test_contract.py` shows what it must do.
"""

import abc
import enum
import glob
import posixpath
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple


class StorageError(OSError):
    """A file or folder cannot be listed, read, written or deleted; the message says why."""


class StoredFile(NamedTuple):
    """A file as it was when its folder was listed.

    Attributes:
        path: path or URI.
        size: in bytes.
        version: changes when the contents change; "" if it is unknown.
        stamp: the stamp that the file was written with, in a storage that keeps stamps with files;
            None if there is none.
    """

    path: str
    size: int
    version: str
    stamp: str | None = None


def folded(name: str) -> str:
    """Return a name without what some volumes ignore: case and Unicode normalization."""
    if name.isascii():
        return name.lower()
    normal = unicodedata.normalize("NFC", name)
    return unicodedata.normalize("NFC", normal.casefold())


class StampPlace(enum.Enum):
    """Where the stamps of outputs are kept (see `archive/results.py`).

    Attributes:
        FILE: with each file. `write` takes a stamp, and `list_files` returns it.
        JOURNAL: in a journal beside the outputs, which must be on the local disk.
        RECORD: in the record of the last run that finished.
    """

    FILE = enum.auto()
    JOURNAL = enum.auto()
    RECORD = enum.auto()


class Storage(abc.ABC):
    """A place that holds files. Its methods are called by several threads at once.

    A storage that tries again does so for the seconds that `deadlines.remaining` returns. If an
    operation of a remote storage is late all the same, its caller no longer waits for it.

    Methods may raise any exception: the functions of `stylebeam.pipeline.storage` turn it into a
    `StorageError`, with the words of `reason`. A location is a URI with forward slashes; only the
    local disk, which has paths instead, needs other location functions than those below.
    """

    stamp_place: StampPlace = StampPlace.RECORD
    """Where the stamps of outputs are kept."""

    is_remote: bool = True
    """Whether each access is a request over a network, so that the fewer there are the better."""

    @abc.abstractmethod
    def list_files(self, folder: str, pattern: str) -> Iterator[StoredFile]:
        """Yield at least the files that match a pattern; the caller filters out all others.

        Args:
            folder: the location that the pattern starts with, without wildcards.
            pattern: a glob as Beam defines it: `*` stays in a folder, `**` does not.
        """

    def walk(
        self,
        folder: str,
        pattern: str,
        enter: Callable[[str, bool], bool],
        unreadable: Callable[[str, str], None],
    ) -> Iterator[StoredFile]:
        """Yield files as `list_files` does, but ask which folders to list.

        By default it asks nothing: a storage without folders lists all files at once.

        Args:
            folder: the location that the pattern starts with, without wildcards.
            pattern: a glob as Beam defines it.
            enter: receives the location of each folder below, and whether it is a link, which is
                not followed; returns whether to list the folder.
            unreadable: receives the location of each folder below that cannot be listed, and a
                sentence that says why.
        """
        return self.list_files(folder, pattern)

    @abc.abstractmethod
    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the contents of a file.

        Args:
            path: its location.
            max_bytes: how many bytes may be read.

        Raises:
            TooLargeError: it has more bytes; not many more are held in memory.
        """

    @abc.abstractmethod
    def write(
        self,
        path: str,
        data: bytes,
        mime_type: str,
        stamp: str | None = None,
        replaces: str | None = None,
    ) -> None:
        """Write a file, whole or not at all; create its folders.

        Args:
            path: its location.
            data: its contents.
            mime_type: the type of its contents.
            stamp: to be kept with the file. Ignored unless `stamp_place` is `FILE`.
            replaces: write only if the file now has this version, or does not exist if it is "";
                None to replace any file. Ignored unless `stamp_place` is `FILE`.
        """

    @abc.abstractmethod
    def delete(self, path: str) -> None:
        """Delete a file; do nothing if it does not exist."""

    def file_at(self, path: str) -> StoredFile | None:
        """Return the file at a location, or None if there is none. (A folder is not asked for.)"""
        found = self.list_files(posixpath.dirname(path), glob.escape(path))
        return next((file for file in found if file.path == path), None)

    def remove_unfinished(self, folder: str) -> None:  # noqa: B027 (most storages leave nothing)
        """Remove from a folder what killed processes started to write and did not finish."""

    def reason(self, error: BaseException) -> str:
        """Say in a few words what an error means."""
        if isinstance(error, FileNotFoundError):
            return "there is no such file"
        if isinstance(error, PermissionError):
            return "permission denied"
        if isinstance(error, OSError) and error.strerror:
            return error.strerror[0].lower() + error.strerror[1:]
        return str(error).rstrip(".") or type(error).__name__

    def mistake_in(self, location: str) -> str | None:
        """Say why a location is invalid whatever the storage holds; None if it is valid."""
        if not location.partition("://")[2].strip("/"):
            return f"{location} names no bucket"
        return None

    def mistake_in_output(self, folder: str) -> str | None:
        """Say why a valid location cannot be a folder for outputs; None if it can be."""
        return None

    def normalize(self, location: str) -> str:
        """Return a location spelled in one way, so that equal locations compare equal."""
        scheme, _, path = location.partition("://")
        return f"{scheme}://{path.rstrip('/')}"

    def join(self, folder: str, relative: str) -> str:
        """Return the location of `relative`, a path with forward slashes, below a folder."""
        return posixpath.join(folder, relative)

    def real_path(self, location: str) -> str:
        """Return a location as an absolute one with all links followed."""
        return location

    def place_of(self, location: str) -> str:
        """Return what a write to a location replaces: a link itself, not the link's target."""
        return location

    def link_above(self, folder: str, path: str) -> str | None:
        """Return the first folder between a folder and a file below it that is a link, or None."""
        return None

    def link_target(self, location: str) -> str | None:
        """Return where a link leads, as an absolute location; None if the file is no link."""
        return None

    def folder_identities(self, folder: str) -> list[str]:
        """Return what identifies a folder and all folders above it, from the top down.

        Two identities are equal if and only if they are of one folder, by whatever mount, link or
        spelling it is reached. The folder need not exist. Identities are valid for a short time.
        """
        scheme, _, path = self.normalize(location=folder).partition("://")
        parts = path.split("/")
        return [f"{scheme}://{'/'.join(parts[: count + 1])}" for count in range(len(parts))]

    def tells_apart(self, one: str, other: str) -> bool:
        """Return whether two locations in one folder are two files.

        Args:
            one: a location.
            other: another one, which differs in case or Unicode normalization only.
        """
        return True
