"""List, read and write files, on the local disk or wherever Beam's FileSystems reach."""

import functools
import os
import posixpath
import re
import stat
from collections.abc import Iterator

from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileSystem
from apache_beam.io.filesystems import FileSystems

from transforms.files import write_whole


class StorageError(OSError):
    """A file or folder that cannot be listed, read or written; the message says which and why."""


def is_remote(location: str) -> bool:
    """Whether the location is a URI, such as gs://bucket/photos, rather than a local path."""
    return "://" in location


def join(folder: str, relative: str) -> str:
    """Return the location of `relative`, a path with forward slashes, below `folder`."""
    return posixpath.join(folder, relative) if is_remote(folder) else os.path.join(folder, relative)


def real_path(location: str) -> str:
    """Return a local path as an absolute one with all links followed; a URI as it is."""
    return location if is_remote(location) else os.path.realpath(location)


def place_of(location: str) -> str:
    """Return what a write to the location replaces: a link's own place, not what it points at."""
    if is_remote(location):
        return location
    folder, name = os.path.split(location)
    return os.path.join(_real_folder(os.path.abspath(folder)), name)


@functools.lru_cache(maxsize=1024)
def _real_folder(absolute: str) -> str:
    return os.path.realpath(absolute)


def mistake_in(location: str) -> str | None:
    """Say what makes a location unusable whatever is there, if anything does."""
    if "\0" in location:
        return "must not hold a null character"
    try:
        FileSystems.get_filesystem(location)
    except ValueError:
        return f"{location} is in no storage that Beam knows; is its scheme right?"
    if is_remote(location) and not location.partition("://")[2].strip("/"):
        return f"{location} names no bucket"
    return None


def matches(pattern: str, path: str) -> bool:
    """Whether a path matches a pattern as Beam knows them: `*` stays in a folder, `**` does not."""
    return _regex(pattern).match(path) is not None


def list_files(folder: str, pattern: str) -> Iterator[str]:
    """Yield the paths below a folder that match a pattern as Beam knows them.

    Raises:
        StorageError: a folder cannot be listed.
    """
    return _list_remote(pattern) if is_remote(pattern) else _list_local(folder, pattern)


def read(path: str) -> bytes:
    """Return a file's bytes.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        if not is_remote(path) and not stat.S_ISREG(os.stat(path).st_mode):
            # A named pipe would be waited for without end.
            raise OSError(0, "it is not a regular file")
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            return file.read()
    except Exception as error:  # Every scheme raises kinds of its own.
        raise StorageError(f"{path} cannot be read: {_reason(error)}.") from error


def write(path: str, data: bytes, mime_type: str = "application/octet-stream") -> None:
    """Write a file, whole or not at all; its folders are made.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        if is_remote(path):
            # An object appears when its upload is complete.
            with FileSystems.create(path, mime_type, CompressionTypes.UNCOMPRESSED) as file:
                file.write(data)
        else:
            write_whole(path, data)
    except Exception as error:  # Every scheme raises kinds of its own.
        raise StorageError(f"{path} cannot be written: {_reason(error)}.") from error


def _regex(pattern: str) -> re.Pattern[str]:
    """Return what Beam makes of a pattern, with an escaped bracket as Python wants it."""
    return re.compile(FileSystem.translate_pattern(pattern).replace("[[]", r"\["))


def _list_local(folder: str, pattern: str) -> Iterator[str]:
    """Walk a folder. (Beam's own listing passes over folders and links that cannot be read.)"""
    regex = _regex(pattern)
    above = folder.rstrip("/").count("/") + 1 if folder else 0
    levels = None if "**" in pattern else pattern.count("/") - above

    def stop(error: OSError) -> None:
        raise StorageError(f"{error.filename} cannot be listed: {_reason(error)}.") from error

    for parent, folders, files in os.walk(folder or ".", onerror=stop):
        relative = os.path.relpath(parent, folder or ".")
        level = 0 if relative == "." else relative.count("/") + 1
        # Neither hidden folders nor those below what the pattern reaches need be readable.
        deeper = levels is None or level < levels
        folders[:] = sorted(name for name in folders if deeper and not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(parent, name) if folder else os.path.normpath(f"{parent}/{name}")
            if regex.match(path):
                yield path


def _list_remote(pattern: str) -> Iterator[str]:
    try:
        [result] = FileSystems.match([pattern])
    except Exception as error:  # Every scheme raises kinds of its own.
        raise StorageError(f"{pattern} cannot be listed: {_reason(error)}.") from error
    for metadata in result.metadata_list:
        yield metadata.path


def _reason(error: BaseException) -> str:
    """Say in a few words what went wrong."""
    if isinstance(error, BeamIOError) and error.exception_details:
        return _reason(next(iter(error.exception_details.values())))
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return str(error).rstrip(".") or type(error).__name__
