"""Waits until something that happens elsewhere is done."""

import time
from collections.abc import Callable

import pytest

_PAUSE = 0.02


def wait_until(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait until a condition is true, and fail the test if it stays false.

    Args:
        condition: is called again and again, with a short pause between calls.
        what: the condition in words, for the message of the failure.
        seconds: the longest time to wait.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"After {seconds} s it was still not true that {what}.")
        time.sleep(_PAUSE)
