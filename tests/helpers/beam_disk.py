"""A scheme that only Beam's FileSystems know: disk://photos/a.jpg is the file photos/a.jpg."""

import os
from collections.abc import Iterator

from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.localfilesystem import LocalFileSystem

SCHEME = "disk://"


class BeamDisk(LocalFileSystem):
    """The local disk as if it were another storage. Beam finds it once this file is imported."""

    @classmethod
    def scheme(cls) -> str:
        """Return the scheme of its URIs."""
        return SCHEME.removesuffix("://")

    def open(self, path: str, *args: object, **options: object) -> object:
        """Open a file for reading."""
        return super().open(path.removeprefix(SCHEME), *args, **options)

    def create(self, path: str, *args: object, **options: object) -> object:
        """Open a file for writing; create its folders, as object stores do."""
        local = path.removeprefix(SCHEME)
        os.makedirs(os.path.dirname(local), exist_ok=True)
        return super().create(local, *args, **options)

    def exists(self, path: str) -> bool:
        """Return whether there is a file."""
        return super().exists(path.removeprefix(SCHEME))

    def delete(self, paths: list[str]) -> None:
        """Delete files."""
        for path in paths:
            os.unlink(path.removeprefix(SCHEME))

    def metadata(self, path: str) -> FileMetadata:
        """Return what a listing says about a file."""
        return self._with_scheme(super().metadata(path.removeprefix(SCHEME)))

    def _list(self, prefix: str) -> Iterator[FileMetadata]:
        return map(self._with_scheme, super()._list(prefix.removeprefix(SCHEME)))

    @staticmethod
    def _with_scheme(found: FileMetadata) -> FileMetadata:
        return FileMetadata(SCHEME + found.path, found.size_in_bytes, found.last_updated_in_seconds)
