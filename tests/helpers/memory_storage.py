"""A storage in the memory of this process, as an example of a storage that a project adds.

It is this file and one row of the registry: `STORAGES["memory"] = MemoryStorage`.
"""

import itertools
from collections.abc import Iterator

from stylebeam.pipeline.storage.bounds import TooLargeError
from stylebeam.pipeline.storage.contract import StampPlace, Storage, StoredFile


class MemoryStorage(Storage):
    """Keeps files, and their stamps, in a dictionary. Worker processes do not share it."""

    stamp_place = StampPlace.FILE

    def __init__(self) -> None:
        """Make an empty storage."""
        self._files: dict[str, tuple[StoredFile, bytes]] = {}
        self._versions = itertools.count(1)

    def list_files(self, folder: str, pattern: str) -> Iterator[StoredFile]:
        return (file for file, _ in list(self._files.values()) if file.path.startswith(folder))

    def read(self, path: str, max_bytes: int) -> bytes:
        if path not in self._files:
            raise FileNotFoundError(path)
        file, data = self._files[path]
        if file.size > max_bytes:
            raise TooLargeError(max_bytes, file.size)
        return data

    def write(
        self,
        path: str,
        data: bytes,
        mime_type: str,
        stamp: str | None = None,
        replaces: str | None = None,
    ) -> None:
        before, _ = self._files.get(path, (None, b""))
        allowed = replaces is None or replaces == (before.version if before else "")
        if not allowed and (before is None or before.stamp != stamp):
            raise ValueError("someone else has written it since it was listed")
        version = str(next(self._versions))
        self._files[path] = (StoredFile(path, len(data), version, stamp), data)

    def delete(self, path: str) -> None:
        self._files.pop(path, None)
