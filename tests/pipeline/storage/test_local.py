"""Tests of what only the local disk does."""

import os
from pathlib import Path

import pytest

from stylebeam.pipeline import storage
from stylebeam.pipeline.storage import StorageError


def test_a_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    storage.write(str(tmp_path / "file.bin"), b"x")
    assert os.listdir(tmp_path) == ["file.bin"]


def test_written_files_have_the_usual_permissions(tmp_path: Path) -> None:
    storage.write(str(tmp_path / "ours"), b"")
    (tmp_path / "any").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_a_failed_write_keeps_the_old_file_and_leaves_no_temporary_file(
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


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written: "):
        storage.write(str(tmp_path / "file" / "below.jpg"), b"")


def test_a_named_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(StorageError, match=r"pipe\.jpg cannot be read: it is not a regular file"):
        storage.read(str(tmp_path / "pipe.jpg"))
    assert not storage.exists(str(tmp_path / "pipe.jpg"))


def test_a_folder_is_not_a_file_and_is_not_deleted(tmp_path: Path) -> None:
    assert not storage.exists(str(tmp_path))
    with pytest.raises(StorageError, match="cannot be deleted"):
        storage.delete(str(tmp_path))
    assert tmp_path.is_dir()


def test_a_folder_without_files_has_nothing_unfinished(tmp_path: Path) -> None:
    storage.remove_unfinished(str(tmp_path))
    storage.remove_unfinished(str(tmp_path / "missing"))


def test_a_link_is_deleted_and_its_target_is_not(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"x")
    (tmp_path / "link").symlink_to("target")
    storage.delete(str(tmp_path / "link"))
    assert os.listdir(tmp_path) == ["target"]


def test_links_in_locations(tmp_path: Path) -> None:
    """A write replaces a link itself, in the folder that a link to it leads to."""
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "real" / "link.jpg").symlink_to("photo.jpg")
    location = str(tmp_path / "folder" / "link.jpg")
    assert storage.place_of(location) == str(tmp_path / "real" / "link.jpg")
    assert storage.real_path(location) == str(tmp_path / "real" / "photo.jpg")
    assert storage.link_target(location) == str(tmp_path / "real" / "photo.jpg")


def test_a_path_is_normalized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/user")
    assert storage.normalize("~/photos//2026/../2025/") == "/home/user/photos/2025"
