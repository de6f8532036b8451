"""No read fills the memory: of files that are large, that grow, or that are no files."""

import os
from pathlib import Path

import pytest

from stylebeam.pipeline import storage
from stylebeam.pipeline.storage.bounds import read_bounded
from tests.helpers import beam_disk
from tests.helpers.memory_storage import MemoryStorage
from tests.helpers.storages import use_storage


@pytest.mark.parametrize("kind", ["local disk", "Beam", "memory"])
def test_a_file_above_the_bound_is_refused_with_its_size(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    use_storage(monkeypatch, "memory", MemoryStorage())
    root = {"local disk": f"{tmp_path}/", "Beam": beam_disk.SCHEME, "memory": "memory://"}[kind]
    path = f"{root}folder/photo.jpg"
    storage.write(path, bytes(1500))
    assert storage.read(path, max_bytes=1500) == bytes(1500)
    with pytest.raises(storage.StorageError) as caught:
        storage.read(path, max_bytes=1499)
    words = "it has 1.5 kB, more than the 1.5 kB that are read."
    assert str(caught.value) == f"{path} cannot be read: {words}"


def test_a_local_file_is_refused_by_its_size_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    # A file with a hole takes no space on the disk.
    with path.open("wb") as file:
        file.truncate(50 * 10**9)
    with pytest.raises(storage.StorageError, match=r"has 50\.0 GB, more than the 2\.0 GB that are"):
        storage.read(str(path))


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_not_read(device: str, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").symlink_to(device)
    with pytest.raises(storage.StorageError, match="cannot be read: "):
        storage.read(str(tmp_path / "photo.jpg"))


class Endless:
    """A file that grows as fast as it is read."""

    def read(self, size: int) -> bytes:
        return bytes(size)


def test_a_file_that_grows_is_read_up_to_the_bound() -> None:
    with pytest.raises(Exception, match=r"it has more than the 3\.0 MB that are read"):
        read_bounded(Endless(), 3_000_000)  # type: ignore[arg-type]


def test_a_file_whose_size_is_unknown_is_read_whole() -> None:
    """The system says that such a file has no bytes."""
    assert os.stat("/proc/self/status").st_size == 0
    assert b"Threads:" in storage.read("/proc/self/status")
