"""Files in storages that only Beam's FileSystems know, such as hdfs:// and s3://."""

import glob
from collections.abc import Iterator

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from stylebeam.pipeline.storage.bounds import TooLargeError, read_bounded
from stylebeam.pipeline.storage.contract import Storage, StoredFile


class BeamFileSystems(Storage):
    """All schemes that Beam has a FileSystem for. How often one tries again is its own matter."""

    def list_files(self, folder: str, pattern: str) -> Iterator[StoredFile]:
        [result] = FileSystems.match([pattern])
        for metadata in result.metadata_list:
            size, changed = metadata.size_in_bytes, metadata.last_updated_in_seconds
            yield StoredFile(metadata.path, size, f"{size}-{changed}")

    def read(self, path: str, max_bytes: int) -> bytes:
        try:
            with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
                return read_bounded(file, max_bytes)
        except TooLargeError:
            found = self.file_at(path)
            raise TooLargeError(max_bytes, found and found.size) from None

    def write(
        self,
        path: str,
        data: bytes,
        mime_type: str,
        stamp: str | None = None,
        replaces: str | None = None,
    ) -> None:
        """Write a file. In an object store it appears once all of it is there."""
        with FileSystems.create(path, mime_type, CompressionTypes.UNCOMPRESSED) as file:
            file.write(data)

    def delete(self, path: str) -> None:
        if glob.escape(path) != path:
            raise ValueError("Beam would delete all files that match its name as a pattern")
        if FileSystems.exists(path):
            FileSystems.delete([path])

    def reason(self, error: BaseException) -> str:
        """Say what an error means. Beam's own error holds the real one of each file."""
        if isinstance(error, BeamIOError) and error.exception_details:
            return self.reason(next(iter(error.exception_details.values())))
        if "apache-beam[" in str(error) or "Unable to get filesystem" in str(error):
            # Beam's own sentences name its packages, whatever the scheme.
            return (
                "its scheme is that of no storage that is installed here; a file of the web must"
                " be downloaded first"
            )
        return super().reason(error)

    def mistake_in(self, location: str) -> str | None:
        try:
            FileSystems.get_filesystem(location)
        except Exception:  # also where a package that Beam needs for the scheme is missing
            if location.startswith("file://"):
                return f"{location} is on the local disk; write the path without file://"
            return (
                f"{location} is in no storage that is installed here; is its scheme right? A file"
                " of the web must be downloaded first"
            )
        return super().mistake_in(location)
