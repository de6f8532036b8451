"""Tests of inputs: which images a folder, a file or a pattern includes."""

import os
import re
from pathlib import Path

import pytest

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import inputs
from stylebeam.pipeline.archive.passed_over import PassedOver
from tests.helpers.memory_storage import MemoryStorage
from tests.helpers.permissions import permissions_apply
from tests.helpers.storages import use_storage


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
    return sorted(image.relative for image in inputs.list_images(location))


def paths(location: str) -> list[tuple[str, str]]:
    return [(image.path, image.relative) for image in inputs.list_images(location)]


def test_a_folder_is_searched_recursively_for_images(tree: Path) -> None:
    expected = ["B.JPEG", "a.jpg", "below/c.png", "below/deeper/d.webp"]
    expected += ["odd [2020] #1 ?*é/f g.tif"]
    assert relative_images(str(tree)) == expected
    assert relative_images(f"{tree}/") == expected
    for image in inputs.list_images(str(tree)):
        assert image.path == f"{tree}/{image.relative}"


def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(tree: Path) -> None:
    assert relative_images(f"{tree}/odd [2020] #1 ?*é") == ["f g.tif"]


def test_a_hidden_folder_is_listed_when_it_is_named(tree: Path) -> None:
    assert relative_images(f"{tree}/.thumbnails") == ["e.jpg"]


def test_a_file_is_an_input_of_one_image(tree: Path) -> None:
    assert paths(f"{tree}/below/c.png") == [(f"{tree}/below/c.png", "c.png")]


def test_one_star_does_not_match_subfolders_and_two_do(tree: Path) -> None:
    assert relative_images(f"{tree}/*.jpg") == ["a.jpg"]
    assert relative_images(f"{tree}/bel*/**") == ["below/c.png", "below/deeper/d.webp"]
    assert relative_images(f"{tree}/**.webp") == ["below/deeper/d.webp"]


def test_relative_locations_keep_their_spelling(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    assert ("a.jpg", "a.jpg") in paths("*.jpg")
    assert paths("below/*.png") == [("below/c.png", "c.png")]
    assert "below/c.png" in relative_images(".")
    assert paths("a.jpg") == [("a.jpg", "a.jpg")]


def test_only_folders_that_matter_are_listed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    scan = os.scandir

    def record(path: str) -> object:
        listed.append(os.path.relpath(path, tree))
        return scan(path)

    def folders(location: str, *exclude: str) -> list[str]:
        listed.clear()
        list(inputs.list_images(location, exclude))
        return listed[1:]

    monkeypatch.setattr(os, "scandir", record)
    odd = "odd [2020] #1 ?*é"
    assert folders(str(tree)) == ["below", "below/deeper", odd]
    assert folders(f"{tree}/*.jpg") == []
    assert folders(f"{tree}/bel*/*") == ["below"]
    assert folders(f"{tree}/bel*/**") == ["below", "below/deeper"]
    assert folders(f"{tree}/*/deep*/*.webp") == ["below", "below/deeper", odd]
    assert folders(f"{tree}/b**.webp") == ["below", "below/deeper"]
    assert folders(str(tree), "below") == folders(str(tree), "below/**") == [odd]
    assert folders(str(tree), "**/deeper", odd) == ["below"]


def test_a_broken_link_is_listed_so_that_it_can_fail(tree: Path) -> None:
    (tree / "broken.jpg").symlink_to(tree / "nowhere.jpg")
    assert "broken.jpg" in relative_images(str(tree))


def test_only_links_within_the_input_are_followed(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "private.jpg").write_bytes(b"x")
    (tree / "inside.jpg").symlink_to(tree / "below" / "c.png")
    (tree / "outside.jpg").symlink_to(tmp_path / "private.jpg")
    (tree / "up.jpg").symlink_to("../private.jpg")
    (tmp_path / "link").symlink_to(tree)
    for location in (str(tree), f"{tree}/*.jpg", str(tmp_path / "link")):
        mistakes = {image.relative: image.mistake for image in inputs.list_images(location)}
        assert mistakes["inside.jpg"] is mistakes["a.jpg"] is None
        for name in ("outside.jpg", "up.jpg"):
            assert mistakes[name] == (
                f"{location.removesuffix('/*.jpg')}/{name} is a link to {tmp_path}/private.jpg,"
                " outside of the input; such links are not followed."
            )
    [named] = inputs.list_images(f"{tree}/outside.jpg")
    assert named.mistake is None


def test_the_version_of_an_image_changes_with_its_contents(tree: Path) -> None:
    def version() -> str:
        [image] = inputs.list_images(f"{tree}/a.jpg")
        return image.version

    first = version()
    assert version() == first
    (tree / "a.jpg").write_bytes(b"y")
    second = version()
    (tree / "a.jpg").write_bytes(b"yz")
    assert len({first, second, version()}) == 3


def test_a_folder_that_cannot_be_listed_is_found_and_the_rest_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    closed = Path("photos/lost+found")
    closed.mkdir(parents=True)
    Path("photos/z").mkdir()
    Path("photos/z/a.jpg").touch()
    closed.chmod(0)
    reason = "photos/lost+found cannot be listed: permission denied."

    def found(location: str, *exclude: str) -> dict[str, str | None]:
        with permissions_apply():
            images = list(inputs.list_images(location, exclude))
        return {image.relative: image.mistake for image in images}

    assert found("photos") == {"z/a.jpg": None, "lost+found": reason}
    assert found("photos/*/*.jpg") == {"z/a.jpg": None, "lost+found": reason}
    assert found("photos", "lost+found") == {"z/a.jpg": None}
    # These globs match no photo in it.
    assert found("photos/z/*") == {"a.jpg": None}
    assert found("photos/?/*.jpg") == {"z/a.jpg": None}
    with pytest.raises(storage.StorageError, match=re.escape(reason)):
        found("photos/lost+found")
    monkeypatch.chdir("photos")
    assert found(".")["lost+found"] == f"./{reason.removeprefix('photos/')}"


def test_trainings_leave_out_a_folder_that_cannot_be_listed(tree: Path) -> None:
    (tree / "below").chmod(0)
    notes: list[str] = []
    with permissions_apply():
        found = inputs.stored_images(str(tree), notes.append)
    assert [file.name for file in found] == ["B.JPEG", "a.jpg", "f g.tif"]
    assert notes == [f"{tree}/below cannot be listed: permission denied. It is left out."]


def passed_over(location: str, *exclude: str) -> PassedOver:
    counts = PassedOver()
    list(inputs.list_images(location, exclude, counts))
    return counts


def test_files_that_are_passed_over_are_counted(tree: Path) -> None:
    for name in ("1.CR2", "2.cr2", "below/3.cr2", "Letter to Mr. Smith", "below/LICENSE", ".x.cr2"):
        (tree / name).touch()
    (tree / "link").symlink_to("below")
    found = passed_over(str(tree))
    assert found.files == {".cr2": 3, "no extension": 2, ".txt": 1}
    assert str(found) == (
        "6 other files: .cr2 3, no extension 2, .txt 1; folders passed over: links to folders 1"
    )
    assert PassedOver.from_json(found.as_json()) == found
    assert str(passed_over(f"{tree}/*.jpg")) == ""  # They are not in the input.
    assert str(passed_over(f"{tree}/*.txt")) == "1 other file: .txt 1"
    assert passed_over(str(tree), "**.cr2", "below").files == {
        ".cr2": 1,  # a glob tells cases apart
        "no extension": 1,
        ".txt": 1,
    }


def test_folders_of_network_drives_and_systems_are_passed_over(tree: Path) -> None:
    for folder in ("@eaDir/a.jpg", "below/@eaDir", "#recycle", "$Recycle.Bin/S-1", "_stylebeam"):
        (tree / folder).mkdir(parents=True)
        (tree / folder / "SYNOPHOTO_THUMB_XL.jpg").touch()
    assert "eaDir" not in " ".join(relative_images(str(tree)))
    assert passed_over(str(tree)).folders == {"@eaDir": 2, "#recycle": 1, "$Recycle.Bin": 1}
    assert relative_images(f"{tree}/#recycle") == ["SYNOPHOTO_THUMB_XL.jpg"]  # named by the user


def test_many_kinds_of_files_are_named_in_part() -> None:
    counts = PassedOver()
    for number in range(30):
        counts.add_file(f"a.{number:03}")
    counts.add_file("b.007")
    assert str(counts).startswith("31 other files: .007 2, .000 1, .001 1,")
    assert str(counts).endswith(", .009 1, of other kinds 20")


@pytest.mark.parametrize("location", ["tree", "memory://tree"])
def test_excluded_files_and_folders_are_left_out(
    tree: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    memory = MemoryStorage()
    for path in tree.rglob("*.*"):
        if path.is_file():
            memory.write(f"memory://tree/{path.relative_to(tree)}", b"x", "")
    use_storage(monkeypatch, "memory", memory)
    monkeypatch.chdir(tree.parent)

    def left(*exclude: str) -> str:
        found = (image.relative for image in inputs.list_images(location, exclude))
        return " ".join(sorted(found)).replace("odd [2020] #1 ?*é/f g.tif", "F")

    assert left() == "B.JPEG a.jpg below/c.png below/deeper/d.webp F"
    assert left("a.jpg", "odd*") == "B.JPEG below/c.png below/deeper/d.webp"
    assert left("*.*") == "below/c.png below/deeper/d.webp F"
    assert left("*/*") == "B.JPEG a.jpg"  # deeper, too, is in a folder
    assert left("*/*.*") == "B.JPEG a.jpg below/deeper/d.webp"
    assert left("**/*.webp") == left("**.webp") == "B.JPEG a.jpg below/c.png F"
    assert left("below/") == left("below/**") == left("**/below") == "B.JPEG a.jpg F"
    assert left("**/a.jpg") == "B.JPEG below/c.png below/deeper/d.webp F"
    assert left("**") == ""


def test_mistake_in_returns_why_an_input_cannot_be_listed(tree: Path) -> None:
    for good in (str(tree), f"{tree}/*.jpg", f"{tree}/a.jpg", "gs://bucket/anything"):
        assert inputs.mistake_in(good) is None
    assert inputs.mistake_in(f"{tree}/nowhere") == f"{tree}/nowhere does not exist"
    assert inputs.mistake_in(f"{tree}/nowhere.jpg") == f"{tree}/nowhere.jpg does not exist"
    assert inputs.mistake_in(f"{tree}/nowhere/*.jpg") == f"{tree}/nowhere does not exist"
    assert f"{tree}/notes.txt is not an image (.jpg" in inputs.mistake_in(f"{tree}/notes.txt")


@pytest.mark.parametrize(
    ("location", "folder", "included"),
    [
        ("tree", "tree", True),
        ("tree", "tree/out", True),
        ("tree", "./tree/../tree/out", True),
        ("tree", "link/out", True),
        ("link", "tree", True),
        ("tree/*.jpg", "link", True),
        ("tree/*.png", "tree", True),
        ("tree/*.jpg", "tree/out", False),
        ("tree/**", "tree/out", True),
        ("tree/**IMG_*.jpg", "tree/styled", True),
        ("tree", "tree2", False),
        ("tree", "out", False),
        ("tree", "gs://bucket/tree", False),
        ("tree/a.jpg", "tree", False),
        ("gs://bucket/tree", "gs://bucket/tree/out", True),
        ("gs://bucket/tree", "gs://bucket/tree2", False),
    ],
)
def test_outputs_among_inputs_are_found(
    tree: Path, monkeypatch: pytest.MonkeyPatch, location: str, folder: str, included: bool
) -> None:
    monkeypatch.chdir(tree.parent)
    Path("link").symlink_to("tree")
    assert inputs.includes(location, folder) is included
    if not storage.is_remote(folder):
        assert inputs.includes(location, str(tree.parent / folder)) is included
        assert inputs.includes(str(tree.parent / location), folder) is included


def test_outputs_among_inputs_of_the_working_directory_are_found(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    assert inputs.includes("*.jpg", ".")
    assert inputs.includes("*.jpg", str(tree))
    assert not inputs.includes("*.jpg", "out")
    assert inputs.includes(".", "out")


@pytest.mark.parametrize(
    ("location", "folder", "pattern"),
    [
        ("gs://bucket/photos", "gs://bucket/photos", "gs://bucket/photos/**"),
        ("gs://bucket/photos/", "gs://bucket/photos", "gs://bucket/photos/**"),
        ("gs://bucket", "gs://bucket", "gs://bucket/**"),
        ("gs://bucket/photos/**", "gs://bucket/photos", "gs://bucket/photos/**"),
        ("gs://bucket/p/2020-*/a.jpg", "gs://bucket/p", "gs://bucket/p/2020-*/a.jpg"),
        ("gs://bucket/p/a.jpg", "gs://bucket/p", "gs://bucket/p/a.jpg"),
        ("gs://bucket/Rome [19]", "gs://bucket/Rome [19]", "gs://bucket/Rome [[]19]/**"),
    ],
)
def test_patterns_of_uris(location: str, folder: str, pattern: str) -> None:
    assert inputs.pattern_of(location) == (folder, pattern)
