"""What the listing of an input passes over, so that no photo is missed without a word."""

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NO_EXTENSION = "no extension"
LINKS_TO_FOLDERS = "links to folders"

# A point within a name, as in "Letter to Mr. Smith", does not start an extension.
_EXTENSION = re.compile(r"\.\w{1,15}")
_KINDS_NAMED = 10


@dataclass
class PassedOver:
    """The files of an input that are not images, and the folders that are not listed.

    Hidden files and folders, and what the config excludes, are not counted.

    Attributes:
        files: how many files, by extension in lower case.
        folders: how many folders of a system's thumbnails or deleted files, by name, and how many
            links to folders.
    """

    files: Counter[str] = field(default_factory=Counter)
    folders: Counter[str] = field(default_factory=Counter)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "PassedOver":
        """Return what `as_json` gave; nothing if the values hold nothing of it."""
        names = ("other_files", "other_folders")
        return cls(*(Counter(values.get(name, {})) for name in names))

    def as_json(self) -> dict[str, dict[str, int]]:
        """Return the counts as plain values, in the order of their keys."""
        return {
            "other_files": dict(sorted(self.files.items())),
            "other_folders": dict(sorted(self.folders.items())),
        }

    def add_file(self, path: str) -> None:
        """Count a file."""
        extension = os.path.splitext(path)[1].lower()
        self.files[extension if _EXTENSION.fullmatch(extension) else NO_EXTENSION] += 1

    def __str__(self) -> str:
        """Say what was passed over, as in "12 other files: .cr2 9, no extension 3"."""
        parts = []
        if count := self.files.total():
            noun = "file" if count == 1 else "files"
            parts.append(f"{count:,} other {noun}: {_listed(self.files)}")
        if self.folders:
            parts.append(f"folders passed over: {_listed(self.folders)}")
        return "; ".join(parts)


def _listed(counts: Counter[str]) -> str:
    """Return the largest counts with their names, and the sum of the others."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = [f"{name} {count:,}" for name, count in ordered[:_KINDS_NAMED]]
    if rest := sum(count for _, count in ordered[_KINDS_NAMED:]):
        words.append(f"of other kinds {rest:,}")
    return ", ".join(words)
