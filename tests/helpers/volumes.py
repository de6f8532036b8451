"""Volumes of other kinds: a folder with two mounts, and a volume that ignores case."""

import os
import subprocess
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from stylebeam.pipeline.storage import local


@contextmanager
def mounted_again(folder: Path, at: Path) -> Iterator[None]:
    """Mount a folder at a second place; skip the test where this is not allowed."""
    at.mkdir(parents=True)
    made = subprocess.run(["mount", "--bind", folder, at], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("mount --bind is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=True)


def ignore_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the local storage see a volume that ignores case and Unicode normalization, as APFS."""

    def folded(name: str) -> str:
        return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())

    def true(path: str) -> str:
        """Return the path under which the real file system has a file."""
        found = "/"
        for name in os.path.abspath(path).split("/")[1:]:
            names = os.listdir(found) if os.path.isdir(found) else []
            same = [each for each in names if folded(each) == folded(name)]
            found = os.path.join(found, same[0] if same else name)
        return found

    path = SimpleNamespace(**vars(os.path))
    for function in ("lexists", "exists", "isdir", "isfile", "realpath", "islink"):
        real = getattr(os.path, function)
        # The path that a volume reports is as the caller spells it.
        spelled = real if function == "realpath" else lambda each, real=real: real(true(each))
        setattr(path, function, spelled)
    volume = SimpleNamespace(**vars(os))
    volume.path = path
    volume.stat = lambda each: os.stat(true(each))
    volume.listdir = lambda each: os.listdir(true(each))
    monkeypatch.setattr(local, "os", volume)
