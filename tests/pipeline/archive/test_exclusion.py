"""Tests of the globs that exclude a part of an input."""

import pytest

from stylebeam.pipeline.archive.exclusion import excludes, mistake_in


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("a.jpg", "a.jpg", True),
        ("a.jpg", "below/a.jpg", False),
        ("**/a.jpg", "a.jpg", True),
        ("**/a.jpg", "below/deeper/a.jpg", True),
        ("*.png", "a.png", True),
        ("*.png", "below/a.png", False),
        ("below/*", "below/a.png", True),
        ("Rome [2019]", "Rome [2019]", True),
        ("Rome ?2019?", "Rome [2019]", True),
        ("[ab]*", "b.jpg", True),
        ("what?*", "what?*", True),
    ],
)
def test_a_glob_excludes_files(pattern: str, path: str, expected: bool) -> None:
    assert excludes([pattern], path) is expected
    assert excludes(["nothing", pattern], path) is expected


def test_a_glob_excludes_a_folder_with_all_that_is_below() -> None:
    for pattern in ("raw", "raw/", "raw/**", "ra*", "**", "**/raw", "**/raw/**"):
        assert excludes([pattern], "raw", is_folder=True), pattern
    for pattern in ("raw/*", "raw/**.jpg", "raw/a"):
        assert not excludes([pattern], "raw", is_folder=True), pattern


def test_globs_that_exclude_nothing_are_mistakes() -> None:
    for pattern in ("a", "*/a", "**", ".hidden/..x"):
        assert mistake_in(pattern) is None
    for pattern in ("/photos/raw", "~/raw", "gs://bucket/raw"):
        mistake = f"must be relative to the input, as in drafts/**, not {pattern}"
        assert mistake_in(pattern) == mistake
    for pattern in ("../raw", "a/./b"):
        assert mistake_in(pattern) == (
            f"must not hold . or .. as the name of a folder, as {pattern} does"
        )
    assert str(mistake_in("*[z-a]")).startswith("is not a glob: bad character range")
