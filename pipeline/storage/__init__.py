"""List, read and write files: on the local disk, in a bucket, or wherever Beam's FileSystems reach.

`local`, `google_cloud` and `beam_file_systems` each know one kind of place; here a location finds
its own.
"""

import contextlib
import functools
import glob
import os
import posixpath
import re
from collections.abc import Iterator
from types import ModuleType

from apache_beam.io.filesystem import BeamIOError, FileSystem
from apache_beam.io.filesystems import FileSystems

from stylebeam.pipeline.storage import beam_file_systems, google_cloud, local
from stylebeam.pipeline.storage.google_cloud import DEFAULT_DEADLINE
from stylebeam.pipeline.storage.stored_file import StorageError, StoredFile

__all__ = ["DEFAULT_DEADLINE", "StorageError", "StoredFile"]


def is_remote(location: str) -> bool:
    """Whether the location is a URI, such as gs://bucket/photos, rather than a local path."""
    return "://" in location


def is_bucket(location: str) -> bool:
    """Whether the location is in Google Cloud Storage, which remembers a stamp with each object."""
    return location.startswith("gs://")


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


def everything_in(folder: str) -> str:
    """Return the pattern of all files in a folder and below."""
    return join(glob.escape(folder), "**")


def list_files(folder: str, pattern: str) -> Iterator[StoredFile]:
    """Yield the files below a folder whose paths match a pattern as Beam knows them.

    Raises:
        StorageError: a folder cannot be listed.
    """
    regex = _regex(pattern)
    with errors_of(pattern, "listed"):
        for file in _kind_of(pattern).list_files(folder, pattern):
            if regex.match(file.path):
                yield file


def read(path: str, deadline: float = DEFAULT_DEADLINE) -> bytes:
    """Return a file's bytes.

    Args:
        path: a path or URI.
        deadline: seconds for which a bucket is asked again.

    Raises:
        StorageError: it cannot be read.
    """
    with errors_of(path, "read"):
        return _kind_of(path).read(path, deadline)


def write(path: str, data: bytes, mime_type: str = "application/octet-stream") -> None:
    """Write a file, whole or not at all; its folders are made.

    Raises:
        StorageError: it cannot be written.
    """
    with errors_of(path, "written"):
        _kind_of(path).write(path, data, mime_type)


@contextlib.contextmanager
def errors_of(path: str, what: str) -> Iterator[None]:
    """Make whatever goes wrong with a file within a `with` a StorageError.

    Args:
        path: of the file.
        what: cannot be done to it: listed, read, written.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:  # Every scheme raises kinds of its own.
        raise StorageError(f"{path} cannot be {what}: {_reason(error)}.") from error


def _kind_of(location: str) -> ModuleType:
    if is_bucket(location):
        return google_cloud
    return beam_file_systems if is_remote(location) else local


@functools.lru_cache(maxsize=64)
def _regex(pattern: str) -> re.Pattern[str]:
    """Return what Beam makes of a pattern, with an escaped bracket as Python wants it."""
    return re.compile(FileSystem.translate_pattern(pattern).replace("[[]", r"\["))


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
    return google_cloud.reason(error) or str(error).rstrip(".") or type(error).__name__
