"""The globs by which a config excludes a part of an input."""

import glob
import re
from collections.abc import Iterable

from stylebeam.pipeline import storage

_ANYWHERE = "**/"
_WILDCARD = re.compile(r"[*?]")


def mistake_in(pattern: str) -> str | None:
    """Say why a glob cannot exclude anything; None if it can."""
    if pattern.startswith(("/", "~")) or "://" in pattern:
        return f"must be relative to the input, as in drafts/**, not {pattern}"
    if {".", ".."} & set(pattern.split("/")):
        return f"must not hold . or .. as the name of a folder, as {pattern} does"
    try:
        excludes([pattern], "any")
    except re.error as error:
        return f"is not a glob: {error}"
    return None


def excludes(patterns: Iterable[str], relative: str, is_folder: bool = False) -> bool:
    """Return whether a file, or a folder with all that is below it, is excluded.

    Args:
        patterns: globs relative to the input: `*` stays in a folder, `**` does not, and a leading
            `**/` also matches nothing.
        relative: a path relative to the input.
        is_folder: whether it is the path of a folder.
    """
    return any(_excludes(each.rstrip("/"), relative, is_folder) for each in patterns)


def _excludes(pattern: str, relative: str, is_folder: bool) -> bool:
    if not _WILDCARD.search(pattern):
        # As in an input, a bracket alone does not make a glob.
        pattern = glob.escape(pattern)
    elif pattern.startswith(_ANYWHERE) and _excludes(
        pattern.removeprefix(_ANYWHERE), relative, is_folder
    ):
        return True
    if pattern == relative or storage.matches(pattern, relative):
        return True
    return is_folder and pattern.endswith("**") and storage.matches(pattern, f"{relative}/")
