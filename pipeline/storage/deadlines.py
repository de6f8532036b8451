"""The deadline of each operation of a storage as a whole, however often it is tried again."""

import contextvars
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEFAULT_DEADLINE = 120.0
"""Seconds within which an operation of a storage must be done."""

_LATE = "it was not done within {:g} s (storage_deadline)"

_seconds = contextvars.ContextVar("seconds", default=DEFAULT_DEADLINE)
_end: contextvars.ContextVar[float | None] = contextvars.ContextVar("end", default=None)


class TooLateError(Exception):
    """An operation was not done by its deadline."""


def deadline() -> float:
    """Return the seconds within which each operation that this thread starts must be done."""
    return _seconds.get()


def set_deadline(seconds: float) -> None:
    """Set the deadline of the operations that this thread starts; new threads have the default.

    Args:
        seconds: within which each operation must be done: a read, a write, or a part of a listing.
    """
    _seconds.set(seconds)


def remaining() -> float:
    """Return the seconds that are left to the operation that this thread works on."""
    end = _end.get()
    return deadline() if end is None else max(0.0, end - time.monotonic())


def check_deadline() -> None:
    """Check that the operation that this thread works on is not late.

    Raises:
        TooLateError: it is.
    """
    if remaining() <= 0:
        raise TooLateError(_LATE.format(deadline()))


def finish_in_time(work: Callable[[], T]) -> T:
    """Do an operation within the deadline, and return its result.

    The work is done in a thread of its own: no client of a storage can be relied on to end by
    itself when a server sends a byte from time to time. A thread that is late is left behind.

    Args:
        work: the operation. It may raise any exception, and call `remaining`.

    Raises:
        TooLateError: the operation was not done by the deadline.
    """
    end = time.monotonic() + deadline()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        _end.set(end)
        try:
            results.append(work())
        except BaseException as error:  # Raised where the operation was started.
            errors.append(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), name="storage", daemon=True)
    thread.start()
    thread.join(deadline())
    if errors:
        raise errors[0]
    if not results:
        raise TooLateError(_LATE.format(deadline()))
    return results[0]
