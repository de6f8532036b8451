"""List, read and write files, on the local disk or wherever Beam's FileSystems reach."""

import glob
import os
import posixpath
import re
import uuid
from collections.abc import Iterator

from apache_beam.io.filesystem import CompressionTypes, FileSystem
from apache_beam.io.filesystems import FileSystems

from transforms.image_io import FORMAT_OF_EXTENSION

_GLOB_CHARACTERS = re.compile(r"[*?\[]")


class StorageError(Exception):
    """A file or folder that cannot be listed, read or written; the message says which and why."""


def is_remote(location: str) -> bool:
    """Whether the location is a URI, such as gs://bucket/photos, rather than a local path."""
    return "://" in location


def join(folder: str, relative: str) -> str:
    """Return the location of `relative`, a path with forward slashes, below `folder`."""
    return posixpath.join(folder, relative) if is_remote(folder) else os.path.join(folder, relative)


def exists(location: str) -> bool:
    """Whether a file or a local folder is there."""
    return FileSystems.exists(location)


def input_pattern(location: str) -> tuple[str, str]:
    """Return the folder that a batch's input is relative to, and the pattern of its files.

    Args:
        location: a folder, which is searched recursively, a file, or a glob as Beam knows them:
            `*` stays within a folder, `**` does not.
    """
    if _is_glob(location):
        prefix = _GLOB_CHARACTERS.split(location, maxsplit=1)[0]
        return prefix.rpartition("/")[0] or ("/" if prefix.startswith("/") else ""), location
    if image_extension(location) and not os.path.isdir(location):
        return location.rpartition("/")[0], glob.escape(location)
    folder = location.rstrip("/") or "/"
    return folder, join(glob.escape(folder), "**")


def missing(location: str) -> str | None:
    """Return the local file or folder that a batch's input needs and that is not there, if any."""
    if is_remote(location):
        return None
    needed = (input_pattern(location)[0] or ".") if _is_glob(location) else location
    return None if os.path.exists(needed) else needed


def matches(pattern: str, path: str) -> bool:
    """Whether a path matches a pattern that `input_pattern` returned."""
    return _regex(pattern).match(path) is not None


def image_extension(path: str) -> str | None:
    """Return the extension of an image's name as it is written there, or None for another file."""
    extension = os.path.splitext(path)[1]
    return extension if extension.lower() in FORMAT_OF_EXTENSION else None


def list_images(location: str) -> Iterator[tuple[str, str]]:
    """Yield each image of a batch's input: its path, and the path relative to the input's folder.

    Files without an image's extension are passed over, and so are hidden ones (below a name that
    begins with a dot), which are thumbnails and leftovers of other programs.

    Raises:
        StorageError: a folder cannot be listed.
    """
    folder, pattern = input_pattern(location)
    if is_remote(location):
        paths = _list_remote(pattern)
    elif os.path.isfile(location):
        paths = iter([location])
    else:
        paths = _list_local(folder, pattern)
    for path in paths:
        relative = path[len(folder) :].lstrip("/") if folder else path
        hidden = any(part.startswith(".") for part in relative.split("/"))
        if image_extension(path) and not hidden:
            yield path, relative


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


def _is_glob(location: str) -> bool:
    """Whether the location holds glob characters and is not itself a local file's name."""
    local = not is_remote(location) and os.path.exists(location)
    return not local and _GLOB_CHARACTERS.search(location) is not None


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
