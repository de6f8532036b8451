"""What storage of any kind says: of a file that it lists, and of what goes wrong."""

from typing import NamedTuple


class StorageError(OSError):
    """A file or folder that cannot be listed, read or written; the message says which and why."""


class StoredFile(NamedTuple):
    """A file as it was when its folder was listed.

    Attributes:
        path: its path or URI.
        size: in bytes.
        version: another when the contents are; "" where it could not be found out.
        stamp: what was written with it, in a bucket; elsewhere None.
    """

    path: str
    size: int
    version: str
    stamp: str | None = None
