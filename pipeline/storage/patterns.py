"""Patterns of paths, as Beam defines them: `*` stays in a folder, `**` does not."""

import functools
import re


def matches(pattern: str, path: str) -> bool:
    """Return whether a path matches a pattern."""
    return _regex(pattern).match(path) is not None


@functools.lru_cache(maxsize=64)
def _regex(pattern: str) -> re.Pattern[str]:
    # Only here: whoever reads a single file does not wait for Beam to be imported.
    from apache_beam.io.filesystem import FileSystem  # noqa: PLC0415

    # Beam's translation of an escaped bracket is not what Python's `re` reads as one.
    return re.compile(FileSystem.translate_pattern(pattern).replace("[[]", r"\["))
