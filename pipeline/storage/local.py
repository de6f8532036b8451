"""Files on the local disk, or on what is mounted there."""

import functools
import glob
import os
import posixpath
import stat
from collections.abc import Callable, Iterator

from stylebeam.files import is_unfinished, remove_leftover, write_whole
from stylebeam.pipeline.storage.contract import (
    DEFAULT_DEADLINE,
    StampPlace,
    Storage,
    StorageError,
    StoredFile,
)
from stylebeam.pipeline.storage.patterns import reaches


class LocalDisk(Storage):
    """The file system of this machine. There are no deadlines for a disk."""

    stamp_place = StampPlace.JOURNAL
    is_remote = False

    def list_files(self, folder: str, pattern: str) -> Iterator[StoredFile]:
        """Yield the files of a folder, and of the folders below that a pattern reaches, in order.

        Links to folders are not followed. (Beam's own listing silently skips folders and links that
        cannot be read.)

        Raises:
            StorageError: a folder cannot be listed.
        """

        def refuse(path: str, reason: str) -> None:
            raise StorageError(reason)

        return self.walk(folder, pattern, lambda path, is_link: True, refuse)

    def walk(
        self,
        folder: str,
        pattern: str,
        enter: Callable[[str, bool], bool],
        unreadable: Callable[[str, str], None],
    ) -> Iterator[StoredFile]:
        """Yield the files of a folder, and of the folders below that a pattern reaches, in order.

        Raises:
            StorageError: `folder` itself cannot be listed.
        """
        top = folder or "."

        def path_of(parent: str, name: str) -> str:
            path = os.path.join(parent, name)
            return path if folder else os.path.normpath(path)

        def skip(error: OSError) -> None:
            path = os.fspath(error.filename or top)
            reason = (error.strerror or "the reason is unknown").lower()
            if path == top:
                raise StorageError(f"{top} cannot be listed: {reason}.") from error
            path = path_of("", path)
            unreadable(path, f"{path} cannot be listed: {reason}.")

        def is_entered(path: str) -> bool:
            # Neither hidden folders nor folders that the pattern cannot reach need be readable.
            hidden = os.path.basename(path).startswith(".")
            return not hidden and reaches(pattern, path) and enter(path, os.path.islink(path))

        for parent, folders, files in os.walk(top, onerror=skip):
            folders[:] = sorted(name for name in folders if is_entered(path_of(parent, name)))
            for name in sorted(files):
                yield _stored_file(path_of(parent, name))

    def read(self, path: str, deadline: float) -> bytes:
        """Return the contents of a regular file."""
        if not stat.S_ISREG(os.stat(path).st_mode):
            # Reading a named pipe would wait forever.
            raise OSError(0, "it is not a regular file")
        with open(path, "rb") as file:
            return file.read()

    def write(
        self,
        path: str,
        data: bytes,
        mime_type: str,
        stamp: str | None = None,
        replaces: str | None = None,
        deadline: float = DEFAULT_DEADLINE,
    ) -> None:
        write_whole(path, data)

    def delete(self, path: str) -> None:
        if os.path.lexists(path):
            os.unlink(path)

    def file_at(self, path: str) -> StoredFile | None:
        return _stored_file(path) if os.path.isfile(path) else None

    def remove_unfinished(self, folder: str) -> None:
        if not os.path.isdir(folder):
            return
        everything = os.path.join(glob.escape(folder), "**")
        for file in self.walk(
            folder, everything, lambda path, is_link: True, lambda path, reason: None
        ):
            if is_unfinished(file.path):
                try:
                    remove_leftover(file.path)
                except OSError as error:
                    reason = self.reason(error)
                    raise StorageError(f"{file.path} cannot be removed: {reason}.") from error

    def mistake_in(self, location: str) -> str | None:
        return None

    def normalize(self, location: str) -> str:
        return posixpath.normpath(os.path.expanduser(location))

    def join(self, folder: str, relative: str) -> str:
        return os.path.join(folder, relative)

    def real_path(self, location: str) -> str:
        return os.path.realpath(location)

    def place_of(self, location: str) -> str:
        folder, name = os.path.split(location)
        return os.path.join(_real_folder(os.path.abspath(folder)), name)

    def link_target(self, location: str) -> str | None:
        return os.path.realpath(location) if os.path.islink(location) else None


def _stored_file(path: str) -> StoredFile:
    try:
        found = os.stat(path)
    except OSError:
        # A broken link, or a file deleted just now: reading it will raise.
        return StoredFile(path, 0, "")
    return StoredFile(path, found.st_size, f"{found.st_size}-{found.st_mtime_ns}")


@functools.lru_cache(maxsize=1024)
def _real_folder(absolute: str) -> str:
    return os.path.realpath(absolute)
