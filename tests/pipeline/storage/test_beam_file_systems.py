"""Tests of what only Beam's FileSystems do."""

from pathlib import Path

import pytest
from apache_beam.io.filesystem import BeamIOError

from stylebeam.pipeline import storage
from stylebeam.pipeline.storage.beam_file_systems import BeamFileSystems
from tests.helpers.beam_disk import SCHEME


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_name_with_wildcards_is_not_deleted() -> None:
    """Beam's FileSystems may delete all files that match it."""
    for name in ("a*.jpg", "ab.jpg"):
        storage.write(f"{SCHEME}folder/{name}", b"x")
    with pytest.raises(storage.StorageError, match="cannot be deleted: Beam would delete all"):
        storage.delete(f"{SCHEME}folder/a*.jpg")
    assert len(list(Path("folder").iterdir())) == 2


def test_the_reason_is_the_error_of_the_file_and_not_the_error_of_the_request() -> None:
    error = BeamIOError("Match operation failed", {"disk://a.jpg": PermissionError(13, "denied")})
    assert BeamFileSystems().reason(error) == "permission denied"


def test_an_unknown_scheme_is_a_mistake() -> None:
    mistake = storage.mistake_in("nowhere://photos")
    assert mistake is not None
    assert mistake.startswith("nowhere://photos is in no storage that is installed here;")
