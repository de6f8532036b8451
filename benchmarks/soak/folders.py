"""Plain access to the files of a folder, on the disk or in a bucket, without stylebeam."""

import base64
import contextlib
import hashlib
import os
from pathlib import Path
from typing import Protocol

from google.cloud import storage


class Folder(Protocol):
    """A folder of files, with all folders below it. Names are relative to it.

    Attributes:
        location: what a config says: a path relative to the working directory, or a URI.
    """

    location: str

    def digests(self) -> dict[str, str]:
        """Return the MD5 of each file, in hexadecimal, by name."""

    def versions(self) -> dict[str, object]:
        """Return a value for each file that changes whenever it is written."""

    def read(self, name: str) -> bytes | None:
        """Return a file's contents; None if there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file."""

    def delete(self, name: str) -> None:
        """Delete a file, if there is one."""


def digest(data: bytes) -> str:
    """Return the MD5 of contents, in hexadecimal."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class DiskFolder(Folder):
    """A folder on the disk."""

    def __init__(self, base: Path, location: str) -> None:
        """Make the folder.

        Args:
            base: the working directory of runs.
            location: relative to it.
        """
        self.location = location
        self.path = base / location
        self.path.mkdir(parents=True)

    def digests(self) -> dict[str, str]:
        found = {name: self.read(name) for name in self._names()}
        return {name: digest(data) for name, data in found.items() if data is not None}

    def versions(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for name in self._names():
            with contextlib.suppress(OSError):  # It was removed just now.
                values = os.stat(self.path / name)
                found[name] = (values.st_ino, values.st_size, values.st_mtime_ns)
        return found

    def read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def delete(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def _names(self) -> list[str]:
        names = []
        for parent, _, files in os.walk(self.path):
            names += [os.path.relpath(os.path.join(parent, each), self.path) for each in files]
        return names


class BucketFolder(Folder):
    """A folder in a bucket."""

    def __init__(self, bucket: storage.Bucket, name: str) -> None:
        """Make the folder; nothing is written.

        Args:
            bucket: the bucket, connected without faults.
            name: of the folder.
        """
        self.location = f"gs://{bucket.name}/{name}"
        self._bucket = bucket
        self._prefix = f"{name}/"

    def digests(self) -> dict[str, str]:
        return {self._name(each): base64.b64decode(each.md5_hash).hex() for each in self._blobs()}

    def versions(self) -> dict[str, object]:
        return {self._name(each): each.generation for each in self._blobs()}

    def read(self, name: str) -> bytes | None:
        blob = self._bucket.get_blob(self._prefix + name)
        return blob.download_as_bytes() if blob else None

    def write(self, name: str, data: bytes) -> None:
        self._bucket.blob(self._prefix + name).upload_from_string(data)

    def delete(self, name: str) -> None:
        if blob := self._bucket.get_blob(self._prefix + name):
            blob.delete()

    def _blobs(self) -> list[storage.Blob]:
        return list(self._bucket.list_blobs(prefix=self._prefix))

    def _name(self, blob: storage.Blob) -> str:
        return blob.name.removeprefix(self._prefix)
