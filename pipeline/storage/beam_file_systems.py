"""Files in storage that only Beam's FileSystems know, such as hdfs:// and s3://."""

from collections.abc import Iterator

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from stylebeam.pipeline.storage.stored_file import StoredFile


def list_files(folder: str, pattern: str) -> Iterator[StoredFile]:
    """Yield the files that match a pattern.

    Raises:
        BeamIOError: they cannot be listed.
    """
    [result] = FileSystems.match([pattern])
    for metadata in result.metadata_list:
        size, changed = metadata.size_in_bytes, metadata.last_updated_in_seconds
        yield StoredFile(metadata.path, size, f"{size}-{changed}")


def read(path: str, deadline: float) -> bytes:
    """Return a file's bytes. How long it is tried is the FileSystem's own affair.

    Raises:
        Exception: each scheme has kinds of its own.
    """
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        return file.read()


def write(path: str, data: bytes, mime_type: str) -> None:
    """Write a file, which in an object store appears when all of it is there.

    Raises:
        Exception: each scheme has kinds of its own.
    """
    with FileSystems.create(path, mime_type, CompressionTypes.UNCOMPRESSED) as file:
        file.write(data)
