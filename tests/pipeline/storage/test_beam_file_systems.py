"""Storage that only Beam's FileSystems know, here a scheme of the test's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.localfilesystem import LocalFileSystem

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.cli.arguments import main

SCHEME = "disk://"


class Disk(LocalFileSystem):
    """The local disk as if it were elsewhere: disk://photos/a.jpg is photos/a.jpg."""

    @classmethod
    def scheme(cls) -> str:
        """The scheme of URIs."""
        return SCHEME.removesuffix("://")

    def open(self, path: str, *args: object, **options: object) -> object:
        """Read a file."""
        return super().open(path.removeprefix(SCHEME), *args, **options)

    def create(self, path: str, *args: object, **options: object) -> object:
        """Write a file, with its folders, as object stores do."""
        local = path.removeprefix(SCHEME)
        os.makedirs(os.path.dirname(local), exist_ok=True)
        return super().create(local, *args, **options)

    def exists(self, path: str) -> bool:
        """Whether there is a file."""
        return super().exists(path.removeprefix(SCHEME))

    def size(self, path: str) -> int:
        """Its size in bytes."""
        return super().size(path.removeprefix(SCHEME))

    def last_updated(self, path: str) -> float:
        """When it was written."""
        return super().last_updated(path.removeprefix(SCHEME))

    def _list(self, prefix: str) -> Iterator[FileMetadata]:
        for found in super()._list(prefix.removeprefix(SCHEME)):
            yield FileMetadata(
                SCHEME + found.path, found.size_in_bytes, found.last_updated_in_seconds
            )


@pytest.fixture
def config(photos: Path, checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A config from one place of that storage to another."""
    monkeypatch.chdir(photos.parent)
    Path("config.yaml").write_text(f"""
batches:
  - {{name: all, input: "disk://photos", output: "disk://out", fast: {{style: {checkpoint_path}}}}}
run: {{device: cpu}}
""")
    return "config.yaml"


def statuses() -> dict[str, str]:
    outcomes = read_outcomes("disk://out")
    return {outcome.output.removeprefix("disk://out/"): outcome.status for outcome in outcomes}


def test_a_second_run_does_what_is_missing_or_changed(config: str, photos: Path) -> None:
    names = ("a.jpg", "b.png", "below/c.jpeg")
    assert main(["run", config]) == 0
    assert statuses() == dict.fromkeys(names, "done")
    assert all(Path("out", name).stat().st_size for name in names)
    assert main(["run", config]) == 0
    assert statuses() == dict.fromkeys(names, "skipped")
    Path("out/a.jpg").unlink()
    (photos / "b.png").write_bytes((photos / "b.png").read_bytes() + b"more")
    assert main(["run", config]) == 0
    assert statuses() == {"a.jpg": "done", "b.png": "done", "below/c.jpeg": "skipped"}


def test_what_is_not_there_is_said(config: str) -> None:
    with pytest.raises(storage.StorageError, match=r"disk://photos/no\.jpg cannot be read: there"):
        storage.read("disk://photos/no.jpg")
