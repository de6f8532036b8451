"""What every storage must do: local disk, Google Cloud, Beam's FileSystems, and an added one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from google.cloud import storage as gcs

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import inputs
from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.storage import StampPlace
from tests.helpers import beam_disk
from tests.helpers.memory_storage import MemoryStorage
from tests.helpers.storages import use_storage


@pytest.fixture(params=["local disk", "Google Cloud Storage", "Beam", "memory"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """Returns the location of a path in an empty storage of each kind."""
    monkeypatch.chdir(tmp_path)
    if request.param == "Google Cloud Storage":
        bucket: gcs.Bucket = request.getfixturevalue("bucket")
        root = f"gs://{bucket.name}/"
    elif request.param == "memory":
        use_storage(monkeypatch, "memory", MemoryStorage())
        root = "memory://"
    else:
        root = beam_disk.SCHEME if request.param == "Beam" else f"{tmp_path}/"
    return root.__add__


def names_in(folder: str, pattern: str) -> set[str]:
    found = storage.list_files(folder, storage.join(folder, pattern))
    return {file.path.removeprefix(f"{folder}/") for file in found}


def test_a_file_is_written_with_its_folders_and_read_back(place: Callable[[str], str]) -> None:
    path = place("new/folder/file.bin")
    storage.write(path, b"first")
    storage.write(path, b"second")
    assert storage.read(path) == b"second"
    assert names_in(place("new"), "**") == {"folder/file.bin"}


def test_a_listing_has_sizes_and_versions(place: Callable[[str], str]) -> None:
    path = place("folder/file.bin")
    storage.write(path, b"first")
    [before] = storage.list_files(place("folder"), place("folder/**"))
    assert (before.path, before.size) == (path, 5)
    assert storage.file_at(path) == before
    storage.write(path, b"longer")
    [after] = storage.list_files(place("folder"), place("folder/**"))
    assert after.size == 6
    assert after.version != before.version


def test_one_star_does_not_match_subfolders_and_two_do(place: Callable[[str], str]) -> None:
    for name in ("a.jpg", "b.png", "below/c.jpg", "below/deeper/d.jpg"):
        storage.write(place(f"tree/{name}"), b"x")
    assert names_in(place("tree"), "*.jpg") == {"a.jpg"}
    assert names_in(place("tree"), "*/*") == {"below/c.jpg"}
    assert names_in(place("tree"), "**.jpg") == {"a.jpg", "below/c.jpg", "below/deeper/d.jpg"}
    assert names_in(place("tree"), "b*") == {"b.png"}


def test_files_with_unusual_names(place: Callable[[str], str]) -> None:
    names = (
        "with space.jpg",
        "hash#1.jpg",
        "what?.jpg",
        "100%25 + 1&a=b.jpg",
        "Öl, 油画 🎨.jpg",
        "[brackets] {braces} *star*.jpg",
        "back\\slash.jpg",
        "[19] folder/a.jpg/x.jpg",
    )
    for name in names:
        storage.write(place(f"odd/{name}"), name.encode())
    found = {image.relative: image.path for image in inputs.list_images(place("odd"))}
    assert set(found) == set(names)
    for name, path in found.items():
        assert path == storage.join(place("odd"), name)
        assert storage.read(path) == name.encode()
        assert storage.exists(path)
        assert inputs.pattern_of(path)[0] == path.rpartition("/")[0]


def test_a_deleted_file_is_gone_and_can_be_deleted_again(place: Callable[[str], str]) -> None:
    for name in ("a.bin", "b.bin"):
        storage.write(place(f"folder/{name}"), b"x")
    storage.delete(place("folder/a.bin"))
    storage.delete(place("folder/a.bin"))
    assert names_in(place("folder"), "**") == {"b.bin"}
    assert not storage.exists(place("folder/a.bin"))


def test_a_file_exists_only_under_its_whole_name(place: Callable[[str], str]) -> None:
    storage.write(place("folder/file.bin"), b"x")
    assert storage.exists(place("folder/file.bin"))
    for other in ("folder/file", "folder/file.bin.part", "folder/*.bin"):
        assert not storage.exists(place(other))


def test_a_missing_file_cannot_be_read(place: Callable[[str], str]) -> None:
    storage.write(place("folder/file.bin"), b"x")
    with pytest.raises(storage.StorageError) as caught:
        storage.read(place("folder/missing.bin"))
    expected = f"{place('folder/missing.bin')} cannot be read: there is no such file."
    assert str(caught.value) == expected


def test_a_storage_that_keeps_stamps_with_files_lists_them(place: Callable[[str], str]) -> None:
    storage.write(place("out/a.jpg"), b"x", "image/jpeg", stamp="stamp")
    storage.write(place("out/notes.txt"), b"x", "text/plain")
    stamps = {
        file.path.rpartition("/")[2]: file.stamp
        for file in storage.list_files(place("out"), place("out/**"))
    }
    keeps = storage.stamp_place(place("out")) is StampPlace.FILE
    assert stamps == {"a.jpg": "stamp" if keeps else None, "notes.txt": None}


@pytest.mark.parametrize("place", ["Google Cloud Storage", "memory"], indirect=True)
def test_a_storage_that_keeps_stamps_with_files_replaces_only_the_expected_version(
    place: Callable[[str], str],
) -> None:
    path = place("out/a.jpg")
    refused = pytest.raises(storage.StorageError, match="cannot be written: someone else")
    storage.write(path, b"ours", stamp="stamp", replaces="")
    # The same write again, as after a lost answer.
    storage.write(path, b"ours", stamp="stamp", replaces="")
    with refused:
        storage.write(path, b"another", stamp="other stamp", replaces="")
    listed = storage.file_at(path)
    storage.write(path, b"newer", stamp="newer stamp", replaces=listed.version)
    with refused:
        storage.write(path, b"late", stamp="late stamp", replaces=listed.version)
    assert storage.read(path) == b"newer"


def test_locations(place: Callable[[str], str]) -> None:
    folder = place("folder")
    assert storage.join(folder, "below/a.jpg") == place("folder/below/a.jpg")
    assert storage.normalize(f"{folder}/") == folder
    assert storage.real_path(folder) == folder
    assert storage.place_of(folder) == folder
    assert storage.mistake_in(folder) is None
    assert storage.mistake_in(f"{folder}\0") == "must not hold a null character"
    assert storage.link_target(folder) is None


@pytest.mark.slow
def test_a_second_run_redoes_only_what_is_missing_or_changed(
    place: Callable[[str], str], photos: Path, checkpoint_path: Path
) -> None:
    names = ("a.jpg", "b.png", "below/c.jpeg")
    for name in names:
        storage.write(place(f"photos/{name}"), (photos / name).read_bytes())
    storage.write(place("styles/own.safetensors"), checkpoint_path.read_bytes())
    Path("config.yaml").write_text(f"""
batches:
  - name: all
    input: "{place("photos")}"
    output: "{place("out")}"
    fast: {{style: "{place("styles/own.safetensors")}"}}
run: {{device: cpu}}
""")

    def statuses() -> dict[str, str]:
        outcomes = read_outcomes(place("out"))
        return {outcome.output.removeprefix(place("out/")): outcome.status for outcome in outcomes}

    assert main(["run", "config.yaml"]) == 0
    assert statuses() == dict.fromkeys(names, "done")
    assert all(storage.read(place(f"out/{name}")) for name in names)
    assert storage.exists(place("out/_stylebeam/report.html"))
    storage.delete(place("out/a.jpg"))
    changed = storage.read(place("photos/b.png")) + b"more"
    storage.write(place("photos/b.png"), changed)
    assert main(["run", "config.yaml"]) == 0
    assert statuses() == {"a.jpg": "done", "b.png": "done", "below/c.jpeg": "skipped"}
