"""Patterns of paths, as Beam defines them: `*` stays in a folder, `**` does not."""

import functools
import re


def matches(pattern: str, path: str) -> bool:
    """Return whether a path matches a pattern."""
    return _regex(pattern).match(path) is not None


def reaches(pattern: str, folder: str) -> bool:
    """Return whether a pattern can match paths below a folder.

    Args:
        pattern: a glob.
        folder: a path that starts with the folder that the pattern starts with.
    """
    before, double_star, _ = pattern.partition("**")
    parts = before.split("/")
    depth = folder.count("/") + 1
    if depth < len(parts):
        return matches("/".join(parts[:depth]), folder)
    return bool(double_star) and matches(f"{before}**", f"{folder}/")


@functools.lru_cache(maxsize=64)
def _regex(pattern: str) -> re.Pattern[str]:
    # Only here: whoever reads a single file does not wait for Beam to be imported.
    from apache_beam.io.filesystem import FileSystem  # noqa: PLC0415

    # Beam's translation of an escaped bracket is not what Python's `re` reads as one.
    return re.compile(FileSystem.translate_pattern(pattern).replace("[[]", r"\["))
