"""Each operation of a remote storage is done within one deadline, or fails."""

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from google.cloud import storage as gcs

from stylebeam.pipeline import storage
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.storage.contract import StoredFile
from stylebeam.pipeline.storage.deadlines import finish_in_time, remaining
from stylebeam.pipeline.storage.google_cloud import GoogleCloudStorage
from tests.helpers.faulty_proxy import FaultyProxy
from tests.helpers.memory_storage import MemoryStorage
from tests.helpers.storages import use_storage

OPERATIONS: dict[str, Callable[[str], object]] = {
    "read": storage.read,
    "written": lambda path: storage.write(path, b"x"),
    "looked up": storage.file_at,
    "deleted": storage.delete,
    "listed": lambda path: list(storage.list_files(path, path)),
}


@pytest.mark.parametrize("action", OPERATIONS)
@pytest.mark.parametrize("fault", ["trickle", "stall", "503"])
def test_an_operation_whose_answer_does_not_end(
    action: str,
    fault: str,
    bucket: gcs.Bucket,
    emulator: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with FaultyProxy(emulator, lambda request: fault) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        use_storage(monkeypatch, "gs", GoogleCloudStorage())
        storage.set_deadline(1.5)
        late = r"it was not done within 1\.5 s \(storage_deadline\)"
        if fault != "trickle":
            late = f"({late}|.*however often it was tried)"
        words = rf"^gs://archive/photo\.jpg cannot be {action}: {late}\.$"
        with pytest.raises(storage.StorageError, match=words):
            OPERATIONS[action]("gs://archive/photo.jpg")


def test_the_result_and_the_error_of_an_operation_are_passed_on() -> None:
    assert finish_in_time(lambda: "result") == "result"
    with pytest.raises(ZeroDivisionError):
        finish_in_time(lambda: 1 / 0)
    storage.set_deadline(7)
    assert 0 < finish_in_time(remaining) <= 7


class EndlessStorage(MemoryStorage):
    """A storage whose listing stops in the middle, as a generator does that waits for a page."""

    def list_files(self, folder: str, pattern: str) -> Iterator[StoredFile]:
        for number in range(2500):
            yield StoredFile(f"{folder}/{number}.jpg", 1, "1")
        threading.Event().wait()


def test_a_listing_is_late_only_if_its_next_thousand_files_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_storage(monkeypatch, "memory", EndlessStorage())
    storage.set_deadline(1)
    files = storage.list_files("memory://a", "memory://a/**")
    assert len(list(islice(files, 2000))) == 2000
    with pytest.raises(storage.StorageError, match="cannot be listed: it was not done within 1 s"):
        next(files)


class WatchedStorage(MemoryStorage):
    """Keeps the deadline of each operation."""

    def __init__(self) -> None:
        super().__init__()
        self.deadlines: dict[str, set[float]] = {}

    def note(self, operation: str) -> None:
        self.deadlines.setdefault(operation, set()).add(storage.deadline())

    def list_files(self, folder: str, pattern: str) -> Iterator[StoredFile]:
        self.note("list")
        return super().list_files(folder, pattern)

    def read(self, path: str, max_bytes: int) -> bytes:
        self.note(f"read {path.rpartition('.')[2]}")
        return super().read(path, max_bytes)

    def write(self, path: str, data: bytes, *args: str | None) -> None:  # type: ignore[override]
        self.note(f"write {path.rpartition('.')[2]}")
        super().write(path, data, *args)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_deadline_of_a_run_reaches_its_listing_its_photos_and_its_records(
    one_batch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = WatchedStorage()
    use_storage(monkeypatch, "memory", watched)
    for name in ("a.jpg", "b.png"):
        MemoryStorage.write(
            watched, f"memory://in/{name}", (one_batch / "photos" / name).read_bytes(), "image"
        )
    settings = ("batches.all.input=memory://in", "batches.all.output=memory://out")
    deadline = "run.storage_deadline=77"
    assert main(["run", "config.yaml", *(f"--set={each}" for each in (*settings, deadline))]) == 0
    assert watched.deadlines == {operation: {77.0} for operation in watched.deadlines}
    assert {"list", "read jpg", "write png", "write jsonl", "write html", "read jsonl"} <= set(
        watched.deadlines
    )
