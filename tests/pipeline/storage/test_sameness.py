"""Which locations are one file, by whatever mount, link or spelling they are reached."""

from pathlib import Path

import pytest

from stylebeam.pipeline import storage
from tests.helpers.volumes import ignore_spelling, mounted_again


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "Photos"
    (folder / "Below").mkdir(parents=True)
    (folder / "a.jpg").touch()
    return folder


def test_a_file_has_one_place_by_two_mounts(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "mount"
    with mounted_again(folder, other):
        assert storage.same_place(f"{folder}/a.jpg", f"{other}/a.jpg")
        assert storage.same_place(f"{folder}/Below/new.jpg", f"{other}/Below/new.jpg")
        assert not storage.same_place(f"{folder}/a.jpg", f"{other}/Below/a.jpg")
        assert not storage.same_place(f"{folder}/a.jpg", f"{tmp_path}/a.jpg")


def test_a_folder_below_another_is_found_by_another_mount(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "mount"
    with mounted_again(folder / "Below", other):
        above = storage.folder_identities(f"{other}/out/new")
        assert storage.folder_identities(f"{folder}/Below")[-1] in above
        assert storage.folder_identities(str(folder))[-1] not in above
        assert storage.folder_identities(f"{folder}/Below/out/new")[-1] == above[-1]


def test_other_spellings_are_other_files_on_this_volume(folder: Path) -> None:
    assert not storage.same_place(f"{folder}/a.jpg", f"{folder}/A.jpg")
    assert storage.tells_apart(f"{folder}/new.jpg", f"{folder}/NEW.jpg")
    assert storage.tells_apart(f"{folder}/new/\u00e9.jpg", f"{folder}/new/e\u0301.jpg")
    assert sorted(path.name for path in folder.iterdir()) == ["Below", "a.jpg"]


def test_other_spellings_are_the_same_file_where_a_volume_ignores_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignore_spelling(monkeypatch)
    assert storage.same_place(f"{folder}/a.jpg", f"{folder}/A.JPG")
    assert storage.same_place(f"{folder}/a.jpg", f"{folder.parent}/photos/a.jpg")
    assert not storage.same_place(f"{folder}/a.jpg", f"{folder}/b.jpg")
    above = storage.folder_identities(f"{folder.parent}/PHOTOS/below/new")
    assert storage.folder_identities(str(folder))[-1] in above


def test_spellings_of_new_files_are_tried_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignore_spelling(monkeypatch)
    for one, other in (("new.jpg", "NEW.jpg"), ("new/\u00e9.jpg", "New/e\u0301.jpg")):
        assert storage.same_place(f"{folder}/{one}", f"{folder}/{other}")
    assert sorted(path.name for path in folder.iterdir()) == ["Below", "a.jpg"]


def test_a_link_is_not_the_place_of_its_target(folder: Path) -> None:
    (folder / "link.jpg").symlink_to("a.jpg")
    (folder / "hard.jpg").hardlink_to(folder / "a.jpg")
    assert not storage.same_place(f"{folder}/link.jpg", f"{folder}/a.jpg")
    assert not storage.same_place(f"{folder}/hard.jpg", f"{folder}/a.jpg")


def test_objects_of_a_bucket_are_told_apart_by_their_names() -> None:
    assert storage.same_place("gs://bucket/a.jpg", "gs://bucket/a.jpg")
    assert not storage.same_place("gs://bucket/a.jpg", "gs://bucket/A.jpg")
    assert not storage.same_place("gs://bucket/a.jpg", "a.jpg")
    assert storage.folder_identities("gs://bucket/a/b/") == [
        "gs://bucket",
        "gs://bucket/a",
        "gs://bucket/a/b",
    ]
