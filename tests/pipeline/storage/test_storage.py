"""Reading and writing on the local disk."""

import os
from pathlib import Path

import pytest

from stylebeam.pipeline import storage
from stylebeam.pipeline.storage import StorageError


def test_a_file_is_written_with_its_folders_and_read_back(tmp_path: Path) -> None:
    path = str(tmp_path / "new" / "folder" / "file.bin")
    storage.write(path, b"first")
    storage.write(path, b"second")
    assert storage.read(path) == b"second"
    assert os.listdir(os.path.dirname(path)) == ["file.bin"]


def test_written_files_have_the_rights_of_any_new_file(tmp_path: Path) -> None:
    storage.write(str(tmp_path / "ours"), b"")
    (tmp_path / "any").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.bin"
    storage.write(str(path), b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"file.bin cannot be written: no space left on device"):
        storage.write(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_a_file_in_place_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written: "):
        storage.write(str(tmp_path / "file" / "below.jpg"), b"")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nowhere\.jpg cannot be read: there is no such file"):
        storage.read(str(tmp_path / "nowhere.jpg"))
