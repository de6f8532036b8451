"""Tests of inputs: which images a folder, a file or a pattern includes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import inputs


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


def test_unreadable_folders_that_do_not_matter_are_skipped(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def closed(path: str) -> object:
        if path.endswith((".thumbnails", "deeper")):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert relative_images(f"{tree}/*.jpg") == ["a.jpg"]
    assert relative_images(f"{tree}/bel*/*") == ["below/c.png"]
    with pytest.raises(storage.StorageError, match="deeper cannot be listed: permission denied"):
        relative_images(str(tree))


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


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    """Runs as a user without permissions, because root may list everything."""
    closed = tmp_path / "photos" / "closed"
    closed.mkdir(parents=True)
    script = (
        "import os, sys\n"
        "from stylebeam.pipeline import storage\n"
        "from stylebeam.pipeline.archive import inputs\n"
        "os.chdir(sys.argv[1])\n"
        "os.chmod('closed', 0)\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: list(inputs.list_images('.'))\n"
        "except storage.StorageError as error: print(error)\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", script, str(closed.parent)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output == "./closed cannot be listed: permission denied.\n"


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
