"""The lease file of an output folder: locked where there are locks, replaced elsewhere."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.lease_holder import Holder, LeaseHeldError
from stylebeam.pipeline.storage import StorageError

_LEASE = "_stylebeam/lease.json"
# What the file systems that have no locks answer.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class Lease(Protocol):
    """The lease of one folder."""

    folder: str

    def renew(self) -> Holder | None:
        """Renew the lease; return the run that has taken it, if one has.

        Raises:
            StorageError: the lease file cannot be read or written.
        """

    def release(self) -> None:
        """Give the lease back.

        Raises:
            StorageError: the lease file cannot be deleted.
        """


def take_lease(folder: str, holder: Holder) -> Lease:
    """Take the lease of a folder.

    Raises:
        LeaseHeldError: another run holds it.
        StorageError: the lease file cannot be read or written.
    """
    if storage.is_remote(folder):
        return _StoredLease(folder, holder, [])
    made = _missing_folders(storage.join(folder, _LEASE))
    try:
        return _LockedLease(folder, holder, made)
    except _NoLocksError:
        return _StoredLease(folder, holder, made)


class _NoLocksError(Exception):
    """The file system of a folder has no locks."""


class _LockedLease:
    """The lease of a local folder: a file that is locked as long as the process lives."""

    def __init__(self, folder: str, holder: Holder, made: Sequence[str]) -> None:
        self.folder = folder
        self._holder = holder
        self._path = storage.join(folder, _LEASE)
        self._made = made
        with _errors_of(self._path):
            self._file = self._open()

    def renew(self) -> Holder | None:
        with _errors_of(self._path):
            if not _is_at(self._path, self._file):
                # Someone has deleted it, and others can lock another file in its place.
                os.close(self._file)
                self._file = -1
                try:
                    self._file = self._open()
                except LeaseHeldError as error:
                    return error.holder
            self._write()
        return None

    def release(self) -> None:
        if self._file == -1:
            return
        with _errors_of(self._path):
            if _is_at(self._path, self._file):
                os.unlink(self._path)
            os.close(self._file)
        _remove_empty(self._made)

    def _open(self) -> int:
        """Return the descriptor of the lease file, locked and written.

        Raises:
            LeaseHeldError: another run holds the lease.
            _NoLocksError: the file system has no locks.
            OSError: the file cannot be opened or written.
        """
        while True:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            try:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # The run before has just removed the empty folder.
                continue
            try:
                self._lock(file)
                # The run before may have deleted it after it was opened here.
                if _is_at(self._path, file):
                    self._file = file
                    self._write()
                    return file
            except BaseException:
                os.close(file)
                raise
            os.close(file)

    def _lock(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LeaseHeldError(self.folder, _holder_in(file)) from None
        except OSError as error:
            if error.errno in _NO_LOCKS:
                raise _NoLocksError from error
            raise
        # Some network drives lock files for one machine alone.
        other = _holder_in(file)
        if other and other.host != self._holder.host and not other.has_run_out:
            raise LeaseHeldError(self.folder, other)

    def _write(self) -> None:
        self._holder = replace(self._holder, renewed=time.time())
        data = self._holder.to_json()
        os.pwrite(self._file, data, 0)
        os.ftruncate(self._file, len(data))


class _StoredLease:
    """The lease of a folder without locks: a file that is replaced in a known version alone."""

    def __init__(self, folder: str, holder: Holder, made: Sequence[str]) -> None:
        self.folder = folder
        self._holder = holder
        self._path = storage.join(folder, _LEASE)
        self._made = made
        version, other = self._current()
        if other and not other.has_run_out:
            raise LeaseHeldError(folder, other)
        try:
            self._write(version)
        except StorageError:
            self._refuse_if_taken()
            raise
        # If the storage does not check versions, two runs can write at once: the last one has it.
        self._refuse_if_taken()

    def renew(self) -> Holder | None:
        version, other = self._current()
        if other and other.run != self._holder.run:
            return other
        self._write(version)
        return None

    def release(self) -> None:
        _, other = self._current()
        if other and other.run == self._holder.run:
            storage.delete(self._path)
            _remove_empty(self._made)

    def _refuse_if_taken(self) -> None:
        _, other = self._current()
        if other and other.run != self._holder.run and not other.has_run_out:
            raise LeaseHeldError(self.folder, other)

    def _current(self) -> tuple[str, Holder | None]:
        """Return the version of the lease file, "" if there is none, and the holder in it."""
        file = storage.file_at(self._path)
        if file is None:
            return "", None
        try:
            return file.version, Holder.from_json(storage.read(self._path))
        except StorageError:
            if storage.exists(self._path):
                raise
            return "", None

    def _write(self, version: str) -> None:
        self._holder = replace(self._holder, renewed=time.time())
        # The stamp tells this run's file from another's if the answer to a write was lost.
        stamp = self._holder.run
        storage.write(self._path, self._holder.to_json(), "application/json", stamp, version)


def _holder_in(file: int) -> Holder | None:
    return Holder.from_json(os.pread(file, 4096, 0))


def _is_at(path: str, file: int) -> bool:
    """Return whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _errors_of(path: str) -> Iterator[None]:
    """Turn the system's errors within a `with` into a StorageError, and leave others alone."""
    try:
        yield
    except OSError as error:
        with storage.errors_of(path, "written"):
            raise error


def _missing_folders(path: str) -> list[str]:
    """Return the folders above a file that do not exist, the deepest first."""
    missing = []
    folder = os.path.dirname(path)
    while folder and not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing


def _remove_empty(folders: Iterable[str]) -> None:
    """Remove folders that were made for a lease file, if nothing else is there."""
    with contextlib.suppress(OSError):
        for folder in folders:
            os.rmdir(folder)
