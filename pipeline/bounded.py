"""Reads files of a bounded size: configs, checkpoints and paintings."""

from stylebeam.pipeline import storage

MOST_IMAGE_BYTES = 2 * 2**30
"""The largest image file that is read as a whole by a command: a painting, or a photo."""


def read_bounded(location: str, most: int, kind: str) -> bytes:
    """Return the contents of a file; its size is checked before it is read.

    Args:
        location: its path or URI.
        most: bytes that it may have.
        kind: what it should be, with an article, for the message.

    Raises:
        StorageError: it cannot be read, or is larger.
    """
    found = storage.file_at(location)
    # A storage that does not know a file says why when it is read.
    size = found.size if found else 0
    data = b"" if size > most else storage.read(location)
    size = max(size, len(data))
    if size > most:
        raise storage.StorageError(
            f"{location} cannot be read: it has {size / 2**20:,.1f} MiB, and {kind} has at most"
            f" {most / 2**20:,.0f} MiB."
        )
    return data
