"""The most bytes that are read of a file, so that none fills the memory."""

import io
import shutil
from typing import BinaryIO

from stylebeam.pipeline.storage.deadlines import check_deadline

MAX_BYTES = 2 * 10**9
"""The most bytes that are read of a file, unless the caller says otherwise."""

_PIECE = 2**20


class TooLargeError(Exception):
    """A file has more bytes than may be read; the message says how many."""

    def __init__(self, max_bytes: int, size: int | None = None) -> None:
        """Make the error.

        Args:
            max_bytes: how many bytes may be read.
            size: how many the file has in its storage, where it may be compressed; None if that is
                unknown.
        """
        has = "" if size is None else f"{_amount(size)}, "
        expands = "and expands to " if size is not None and size <= max_bytes else ""
        super().__init__(f"it has {has}{expands}more than the {_amount(max_bytes)} that are read")


class Contents(io.BytesIO):
    """Collects what is read of a file, within a number of bytes and the deadline."""

    def __init__(self, max_bytes: int) -> None:
        """Make it empty."""
        super().__init__()
        self._max_bytes = max_bytes

    def write(self, piece: bytes) -> int:  # type: ignore[override]
        """Add a piece.

        Raises:
            TooLargeError: there are too many bytes.
            TooLateError: the deadline is over.
        """
        check_deadline()
        if self.tell() + len(piece) > self._max_bytes:
            raise TooLargeError(self._max_bytes)
        return super().write(piece)


def read_bounded(file: BinaryIO, max_bytes: int) -> bytes:
    """Return the contents of an open file.

    Raises:
        TooLargeError: it has more than `max_bytes`.
        TooLateError: the deadline is over.
    """
    contents = Contents(max_bytes)
    shutil.copyfileobj(file, contents, _PIECE)
    return contents.getvalue()


def _amount(size: int) -> str:
    """Return a number of bytes in a unit of thousands."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"
