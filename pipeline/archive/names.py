r"""Spells the paths in records in one way, whatever the locale.

Python decodes the names of local files with the locale's encoding: the bytes of `é.jpg` in UTF-8
are other characters under ISO-8859-1. A record holds them as UTF-8, so that a run under another
locale finds the same files. Bytes that are not UTF-8 become lone surrogates, as in PEP 383, which
JSON writes as `\udc..`.
"""

import os
import sys

from stylebeam.pipeline import storage


def to_record(path: str) -> str:
    """Return a path or URI as records hold it."""
    if _is_same_in_records(path):
        return path
    try:
        return os.fsencode(path).decode("utf-8", "surrogateescape")
    except UnicodeError:
        # The locale cannot express this name, so no file has it.
        return path


def from_record(path: str) -> str:
    """Return the path or URI of a file from what a record holds."""
    if _is_same_in_records(path):
        return path
    try:
        return os.fsdecode(path.encode("utf-8", "surrogateescape"))
    except UnicodeError:
        # Surrogates that do not stand for bytes: only a damaged record has them.
        return path


def _is_same_in_records(path: str) -> bool:
    return sys.getfilesystemencoding() == "utf-8" or path.isascii() or storage.is_remote(path)
