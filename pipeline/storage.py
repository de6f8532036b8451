"""List, read and write files, on the local disk or wherever Beam's FileSystems reach."""

import functools
import os
import posixpath
import re
import uuid
from collections.abc import Iterator

from apache_beam.io.filesystem import CompressionTypes, FileSystem
from apache_beam.io.filesystems import FileSystems


class StorageError(Exception):
    """A file or folder that cannot be listed, read or written; the message says which and why."""


def is_remote(location: str) -> bool:
    """Whether the location is a URI, such as gs://bucket/photos, rather than a local path."""
    return "://" in location


def join(folder: str, relative: str) -> str:
    """Return the location of `relative`, a path with forward slashes, below `folder`."""
    return posixpath.join(folder, relative) if is_remote(folder) else os.path.join(folder, relative)


@functools.lru_cache(maxsize=1024)
def _real_folder(absolute: str) -> str:
    return os.path.realpath(absolute)


def canonical(location: str) -> str:
    """Return the location as an absolute one, so that equal ones compare equal.

    Symbolic links among a local path's folders are followed; the file itself is taken as named.
    """
    if is_remote(location):
        return location
    folder, name = os.path.split(location)
    return os.path.normpath(os.path.join(_real_folder(os.path.abspath(folder)), name))


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
            _write_local(path, data)
    except Exception as error:  # Every scheme raises kinds of its own.
        raise StorageError(f"{path} cannot be written: {_reason(error)}.") from error


def _regex(pattern: str) -> re.Pattern[str]:
    """Return what Beam makes of a pattern, with an escaped bracket as Python wants it."""
    return re.compile(FileSystem.translate_pattern(pattern).replace("[[]", r"\["))


def _list_local(folder: str, pattern: str) -> Iterator[str]:
    """Walk a folder. (Beam's own listing passes over folders and links that cannot be read.)"""
    regex = _regex(pattern)

    def stop(error: OSError) -> None:
        raise StorageError(f"{error.filename} cannot be listed: {_reason(error)}.") from error

    for parent, folders, files in os.walk(folder or ".", onerror=stop):
        folders.sort()
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


def _write_local(path: str, data: bytes) -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder or ".", exist_ok=True)
    unfinished = os.path.join(folder, f".{uuid.uuid4().hex}.part")
    try:
        with open(unfinished, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
        raise


def _reason(error: BaseException) -> str:
    """Say in a few words what went wrong."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return str(error).rstrip(".") or type(error).__name__
