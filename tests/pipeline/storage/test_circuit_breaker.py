"""A storage that is out of order is not retried for every file."""

import pytest
from google.cloud import storage as gcs

from stylebeam.pipeline import storage
from stylebeam.pipeline.storage.circuit_breaker import CircuitBreaker
from stylebeam.pipeline.storage.google_cloud import GoogleCloudStorage
from tests.helpers.faulty_proxy import FaultyProxy, Request
from tests.helpers.storages import use_storage


def test_a_breaker_opens_after_failures_in_a_row_and_closes_with_a_success() -> None:
    breaker = CircuitBreaker(max_failures=2)
    for failed in (True, False, True):
        breaker.record(failed)
        assert not breaker.is_open
    breaker.record(failed=True)
    assert breaker.is_open
    breaker.record(failed=False)
    assert not breaker.is_open


def test_a_bucket_that_is_out_of_order_has_one_request_per_file_until_it_answers(
    bucket: gcs.Bucket, emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.blob("photo.jpg").upload_from_string(b"x")
    path, fault = "gs://archive/photo.jpg", ["503"]

    def choose(request: Request) -> str | None:
        return fault[0] if fault else None

    storage.set_deadline(2)
    with FaultyProxy(emulator, choose) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        google = GoogleCloudStorage()
        use_storage(monkeypatch, "gs", google)
        while not google.breaker.is_open:
            with pytest.raises(storage.StorageError, match=r"however often|not done within 2 s"):
                storage.read(path)
        before = len(proxy.requests)
        for _ in range(5):
            with pytest.raises(storage.StorageError, match=r"answered 503 \(Service Unavail.*\)\."):
                storage.read(path)
        assert len(proxy.requests) == before + 5
        fault.clear()
        assert storage.read(path) == b"x"
        assert not google.breaker.is_open
        # A missing file is an answer of a storage that works.
        for _ in range(5):
            with pytest.raises(storage.StorageError, match="there is no such file"):
                storage.read("gs://archive/missing.jpg")
        assert not google.breaker.is_open
