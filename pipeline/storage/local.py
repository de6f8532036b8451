"""Files on the local disk, or on what is mounted there."""

import functools
import glob
import os
import pathlib
import posixpath
import re
import stat
import tempfile
import unicodedata
from collections.abc import Callable, Iterator

from stylebeam.files import PREFIX, is_unfinished, remove_leftover, write_whole
from stylebeam.pipeline.storage.bounds import TooLargeError, read_bounded
from stylebeam.pipeline.storage.contract import (
    StampPlace,
    Storage,
    StorageError,
    StoredFile,
    folded,
)
from stylebeam.pipeline.storage.patterns import reaches

# Linux and macOS have this limit, whatever the file system.
_LONGEST_NAME = 255
# A URI without one of its slashes, or both.
_SLASHES_LACK = re.compile(r"(gs|s3|hdfs|azfs):/?([^/].*)", re.IGNORECASE)


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

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the contents of a regular file."""
        # Without the flag, opening a named pipe would wait forever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(0, "it is not a regular file")
            if found.st_size > max_bytes:
                raise TooLargeError(max_bytes, found.st_size)
            with open(descriptor, "rb", closefd=False) as file:
                return read_bounded(file, max_bytes)
        finally:
            os.close(descriptor)

    def write(
        self,
        path: str,
        data: bytes,
        mime_type: str,
        stamp: str | None = None,
        replaces: str | None = None,
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
        for name in location.split("/"):
            if (length := len(os.fsencode(name))) > _LONGEST_NAME:
                return (
                    f"{name[:40]}... is a name of {length} bytes, and a disk takes {_LONGEST_NAME}"
                )
        first = location.partition("/")[0]
        if (slip := _SLASHES_LACK.match(location)) and not os.path.lexists(first):
            scheme, rest = slip.groups()
            return f"{location} is no URI; did you mean {scheme.lower()}://{rest}?"
        if first.startswith("~") and not os.path.lexists(first):
            return f"{location} starts with {first}, but there is no such user"
        return None

    def mistake_in_output(self, folder: str) -> str | None:
        if os.path.realpath(folder) == os.path.sep:
            return f"{folder} is the root of all folders; write to a folder in it"
        above = folder
        while above and not os.path.lexists(above):
            above = os.path.dirname(above)
        if not above or os.path.isdir(above):
            return None
        if os.path.exists(above):
            return f"{above} is {'a file' if os.path.isfile(above) else 'a device'}, not a folder"
        return f"{above} is a link to {os.path.realpath(above)}, which does not exist"

    def normalize(self, location: str) -> str:
        return posixpath.normpath(os.path.expanduser(location))

    def join(self, folder: str, relative: str) -> str:
        return os.path.join(folder, relative)

    def real_path(self, location: str) -> str:
        return os.path.realpath(location)

    def place_of(self, location: str) -> str:
        folder, name = os.path.split(location)
        return os.path.join(_real_folder(os.path.abspath(folder)), name)

    def link_above(self, folder: str, path: str) -> str | None:
        above = folder
        for name in pathlib.PurePath(os.path.relpath(path, folder)).parts[:-1]:
            above = os.path.join(above, name)
            if os.path.islink(above):
                return above
        return None

    def link_target(self, location: str) -> str | None:
        return os.path.realpath(location) if os.path.islink(location) else None

    def folder_identities(self, folder: str) -> list[str]:
        """Return device and inode of each folder, so that all mounts of one folder are equal."""
        root, *names = pathlib.PurePath(os.path.realpath(folder)).parts
        path, identities = root, [_identity(root, "")]
        for name in names:
            path = os.path.join(path, _true_name(path, name))
            identities.append(_identity(path, otherwise=f"{identities[-1]}/{name}"))
        return identities

    def tells_apart(self, one: str, other: str) -> bool:
        """Find out by a trial whether two names in one folder are two files.

        Each volume has rules of its own: FAT, NTFS, exFAT and APFS do not tell `a` from `A`, and
        ext4 can be told not to.

        Raises:
            OSError: no file can be made for the trial.
        """
        if os.path.lexists(one) or os.path.lexists(other):
            both = os.path.lexists(one) and os.path.lexists(other)
            names = {_true_name(*os.path.split(each)) for each in (one, other)}
            return not both or len(names) == 2
        folder, rest, other_rest = self._below_common_folder(one, other)
        while not os.path.isdir(folder):
            folder, name = os.path.split(folder)
            rest, other_rest = os.path.join(name, rest), os.path.join(name, other_rest)
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder) as trial:
            os.makedirs(os.path.join(trial, rest))
            return not os.path.exists(os.path.join(trial, other_rest))

    def _below_common_folder(self, one: str, other: str) -> tuple[str, str, str]:
        """Return the deepest folder that is above two locations, and their paths from there."""
        above_one, above_other = (
            self.folder_identities(os.path.dirname(each)) for each in (one, other)
        )
        common = next(each for each in reversed(above_one) if each in above_other)
        depth, other_depth = above_one.index(common) + 1, above_other.index(common) + 1
        parts, other_parts = (pathlib.PurePath(self.place_of(each)).parts for each in (one, other))
        return (
            os.path.join(*parts[:depth]),
            os.path.join(*parts[depth:]),
            os.path.join(*other_parts[other_depth:]),
        )


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


def _identity(path: str, otherwise: str) -> str:
    """Return device and inode; `otherwise` if a file does not exist or may not be looked into."""
    try:
        found = os.stat(path)
    except OSError:
        return otherwise
    return f"{found.st_dev}:{found.st_ino}"


def _true_name(folder: str, name: str) -> str:
    """Return the name that a file of a folder really has, which many volumes find by other names.

    Inodes do not tell: some file systems give a file another one under each name.
    """
    others = {name.swapcase(), *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))}
    if not any(os.path.lexists(os.path.join(folder, other)) for other in others - {name}):
        return name
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return name
    if name in names:
        return name
    return next((each for each in names if folded(each) == folded(name)), name)
