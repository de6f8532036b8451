"""Wait for a condition, for what happens in another thread or process."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = 0.02


def wait_until(condition: Callable[[], T], what: str, seconds: float = 30) -> T:
    """Call a function until it returns something true, and return that.

    Args:
        condition: is called again and again, with a short pause between.
        what: describes the condition, for the message: "the server answers".
        seconds: give up after this long.

    Raises:
        TimeoutError: the condition has not become true.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s, but not yet: {what}")
        time.sleep(_PAUSE)
    return value
