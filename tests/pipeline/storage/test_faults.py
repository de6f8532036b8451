"""A run whose storage is too busy, resets connections, stalls or truncates files."""

import random
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.cloud import storage as gcs

from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.storage.google_cloud import GoogleCloudStorage
from tests.helpers.faulty_proxy import FAULTS, FaultyProxy, Request
from tests.helpers.storages import use_storage

pytestmark = pytest.mark.slow

IMAGES = 500


@pytest.fixture
def faulty(
    bucket: gcs.Bucket,
    emulator: str,
    photos: Path,
    checkpoint_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[float], FaultyProxy]:
    """Returns a proxy that gives each fault to a share of the requests for images.

    The bucket has many photos; the working directory has the config of a run from it to it.
    """
    data = (photos / "a.jpg").read_bytes()
    with ThreadPoolExecutor(8) as pool:
        blobs = (bucket.blob(f"photos/{number}.jpg") for number in range(IMAGES))
        list(pool.map(lambda blob: blob.upload_from_string(data), blobs))
    monkeypatch.chdir(photos.parent)
    Path("config.yaml").write_text(f"""
batches:
  - name: all
    input: gs://archive/photos
    output: gs://archive/styled
    fast: {{style: {checkpoint_path}}}
run: {{device: cpu}}
""")
    generator = random.Random(1)

    def start(share: float) -> FaultyProxy:
        def choose(request: Request) -> str | None:
            upload = re.search(rb'"name": "styled/\d+\.jpg"', request.body_start)
            if not upload and not re.search(r"photos/\d+\.jpg", request.path):
                return None
            if generator.random() >= share * len(FAULTS):
                return None
            return generator.choice(FAULTS)

        proxy = FaultyProxy(emulator, choose)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        use_storage(monkeypatch, "gs", GoogleCloudStorage())
        return proxy

    return start


def run(deadline: float) -> int:
    workers = ["--direct_num_workers=8", "--direct_running_mode=multi_threading"]
    return main(["run", "config.yaml", "--set", f"run.storage_deadline={deadline}", *workers])


def test_rare_faults_lose_nothing(
    faulty: Callable[[float], FaultyProxy], bucket: gcs.Bucket
) -> None:
    # About seven attempts fit into the deadline: all attempts of a request fail in 1 of 500 runs.
    with faulty(0.03) as proxy:
        assert run(deadline=60) == 0
    assert set(proxy.faults) == set(FAULTS)
    assert sum(proxy.faults.values()) > IMAGES / 4
    outcomes = list(read_outcomes("gs://archive/styled"))
    assert [each.status for each in outcomes] == ["done"] * IMAGES
    written = {blob.name: blob.md5_hash for blob in bucket.list_blobs(prefix="styled/")}
    images = {name: digest for name, digest in written.items() if name.endswith(".jpg")}
    assert set(images) == {f"styled/{number}.jpg" for number in range(IMAGES)}
    # All photos are copies of one.
    assert len(set(images.values())) == 1


def test_a_storage_that_is_out_of_order_fails_each_photo_and_the_run_ends(
    faulty: Callable[[float], FaultyProxy],
) -> None:
    with faulty(0.2) as proxy:
        assert run(deadline=6) == 3
    outcomes = list(read_outcomes("gs://archive/styled"))
    assert [each.status for each in outcomes] == ["failed"] * IMAGES
    reasons = Counter(each.error.partition(" cannot be read: ")[2] for each in outcomes)
    assert {reason.partition(" (")[0] for reason in reasons} >= {
        "the storage answered 429",
        "the storage answered 503",
        "the storage did not answer in time.",
        "the connection to the storage broke.",
    }
    # Neither addresses, which could open an object to others, nor the client's own words.
    in_words = re.compile(
        r"(the storage answered (429 \(Too Many Requests\)|503 \(Service Unavailable\))"
        r"|the storage did not answer in time|the connection to the storage broke"
        r"|it was not done within 6 s \(storage_deadline\))"
        r"(, however often it was tried)?\."
    )
    assert [reason for reason in reasons if not in_words.fullmatch(reason)] == []
    # Once the circuit breaker is open, each photo is tried once.
    assert sum(proxy.faults.values()) < 2 * IMAGES
