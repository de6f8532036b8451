"""Calls functions that read files, each only once."""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Once:
    """Remembers what functions return, so that the files of a config are read once."""

    def __init__(self) -> None:
        self._results: dict[tuple[str, str], Any] = {}

    def __call__(self, function: Callable[..., T], *args: Any, key: Any = None) -> T:
        """Return what a function returns; it is called only the first time.

        Args:
            function: a function of a module.
            *args: its arguments.
            key: what its result depends on; by default all arguments.
        """
        known = (function.__qualname__, repr(args if key is None else key))
        if known not in self._results:
            self._results[known] = function(*args)
        result: T = self._results[known]
        return result
