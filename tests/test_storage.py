"""Listing, reading and writing on the local disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.storage import StorageError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "a.jpg",
        "B.JPEG",
        "notes.txt",
        ".hidden.jpg",
        "below/c.png",
        "below/deeper/d.webp",
        ".thumbnails/e.jpg",
        "odd [2020] #1 ?*é/f g.tif",
    ):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "tree"


def relative_images(location: str) -> list[str]:
    return sorted(relative for _, relative in storage.list_images(location))


def test_a_folder_is_searched_recursively_for_images(tree: Path) -> None:
    expected = ["B.JPEG", "a.jpg", "below/c.png", "below/deeper/d.webp"]
    expected += ["odd [2020] #1 ?*é/f g.tif"]
    assert relative_images(str(tree)) == expected
    assert relative_images(f"{tree}/") == expected
    for path, relative in storage.list_images(str(tree)):
        assert path == f"{tree}/{relative}"


def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(tree: Path) -> None:
    assert relative_images(f"{tree}/odd [2020] #1 ?*é") == ["f g.tif"]


def test_a_hidden_folder_is_listed_when_it_is_named(tree: Path) -> None:
    assert relative_images(f"{tree}/.thumbnails") == ["e.jpg"]


def test_a_file_is_an_input_of_one_image(tree: Path) -> None:
    assert list(storage.list_images(f"{tree}/below/c.png")) == [(f"{tree}/below/c.png", "c.png")]


def test_one_star_stays_in_a_folder_and_two_do_not(tree: Path) -> None:
    assert relative_images(f"{tree}/*.jpg") == ["a.jpg"]
    assert relative_images(f"{tree}/bel*/**") == ["below/c.png", "below/deeper/d.webp"]
    assert relative_images(f"{tree}/**.webp") == ["below/deeper/d.webp"]


def test_relative_locations_are_listed_as_they_are_written(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    assert ("a.jpg", "a.jpg") in list(storage.list_images("*.jpg"))
    assert list(storage.list_images("below/*.png")) == [("below/c.png", "c.png")]
    assert "below/c.png" in relative_images(".")
    assert list(storage.list_images("a.jpg")) == [("a.jpg", "a.jpg")]


def test_a_broken_link_is_listed_so_that_it_can_fail(tree: Path) -> None:
    (tree / "broken.jpg").symlink_to(tree / "nowhere.jpg")
    assert "broken.jpg" in relative_images(str(tree))


def test_a_folder_that_cannot_be_listed_is_an_error_not_a_gap(tmp_path: Path) -> None:
    """As a user without rights, since root may list everything."""
    closed = tmp_path / "photos" / "closed"
    closed.mkdir(parents=True)
    script = (
        "import os, sys\n"
        "from pipeline import storage\n"
        "os.chdir(sys.argv[1])\n"
        "os.chmod('closed', 0)\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: list(storage.list_images('.'))\n"
        "except storage.StorageError as error: print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(closed.parent)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said == "./closed cannot be listed: permission denied.\n"


def test_what_is_missing_is_named(tree: Path) -> None:
    assert storage.missing(str(tree)) is None
    assert storage.missing(f"{tree}/*.jpg") is None
    assert storage.missing("gs://bucket/anything") is None
    assert storage.missing(f"{tree}/nowhere") == f"{tree}/nowhere"
    assert storage.missing(f"{tree}/nowhere.jpg") == f"{tree}/nowhere.jpg"
    assert storage.missing(f"{tree}/nowhere/*.jpg") == f"{tree}/nowhere"


@pytest.mark.parametrize(
    ("location", "folder", "pattern"),
    [
        ("gs://bucket/photos", "gs://bucket/photos", "gs://bucket/photos/**"),
        ("gs://bucket/photos/", "gs://bucket/photos", "gs://bucket/photos/**"),
        ("gs://bucket", "gs://bucket", "gs://bucket/**"),
        ("gs://bucket/photos/**", "gs://bucket/photos", "gs://bucket/photos/**"),
        ("gs://bucket/p/2020-*/a.jpg", "gs://bucket/p", "gs://bucket/p/2020-*/a.jpg"),
        ("gs://bucket/p/a.jpg", "gs://bucket/p", "gs://bucket/p/a.jpg"),
    ],
)
def test_patterns_of_uris(location: str, folder: str, pattern: str) -> None:
    assert storage.input_pattern(location) == (folder, pattern)


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
