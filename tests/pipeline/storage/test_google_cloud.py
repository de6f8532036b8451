"""Tests of what only Google Cloud Storage does, with an emulator."""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from google.api_core.exceptions import RetryError, from_http_status
from google.cloud import storage as gcs
from google.cloud.storage.exceptions import InvalidResponse
from PIL import Image

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import inputs
from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.storage.google_cloud import GoogleCloudStorage
from stylebeam.transforms.checkpoints import parse_checkpoint
from tests.helpers.faulty_proxy import FaultyProxy, Request
from tests.helpers.storages import use_storage


@pytest.mark.slow
def test_a_run_from_a_bucket_to_a_bucket(
    bucket: gcs.Bucket, photos: Path, checkpoint_path: Path, tmp_path: Path
) -> None:
    for name in ("a.jpg", "below/c.jpeg"):
        bucket.blob(f"photos/2026 [1]/{name}").upload_from_filename(photos / name)
    bucket.blob("photos/2026 [1]/broken.png").upload_from_string(b"no image")
    bucket.blob("photos/2027/b.png").upload_from_filename(photos / "b.png")
    bucket.blob("photos/notes.txt").upload_from_string("not an input")
    bucket.blob("styles/own.safetensors").upload_from_filename(checkpoint_path)
    (tmp_path / "config.yaml").write_text("""
batches:
  - name: archive
    input: gs://archive/photos
    output: gs://archive/styled
    fast: {style: gs://archive/styles/own.safetensors}
""")
    done = subprocess.run(
        [sys.executable, "-m", "stylebeam", "run", str(tmp_path / "config.yaml")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 3, done.stderr
    assert "archive: 3 done, 1 failed" in done.stdout
    written = {blob.name: blob for blob in bucket.list_blobs(prefix="styled/")}
    assert written.pop("styled/_stylebeam/run.json").content_type == "application/json"
    assert written.pop("styled/_stylebeam/report.html").content_type == "text/html; charset=utf-8"
    record = written.pop("styled/_stylebeam/outcomes.jsonl")
    lines = [json.loads(line) for line in record.download_as_text().splitlines()]
    assert {line["output"].removeprefix("gs://archive/"): line["status"] for line in lines} == {
        "styled/2026 [1]/a.jpg": "done",
        "styled/2026 [1]/below/c.jpeg": "done",
        "styled/2026 [1]/broken.png": "failed",
        "styled/2027/b.png": "done",
    }
    assert {name: blob.content_type for name, blob in written.items()} == {
        "styled/2026 [1]/a.jpg": "image/jpeg",
        "styled/2026 [1]/below/c.jpeg": "image/jpeg",
        "styled/2027/b.png": "image/png",
    }
    written["styled/2027/b.png"].download_to_filename(tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        assert image.size == (33, 64)


@pytest.mark.slow
def test_a_training_with_photos_in_a_bucket(
    bucket: gcs.Bucket, photos: Path, tmp_path: Path
) -> None:
    for name in ("a.jpg", "below/c.jpeg"):
        bucket.blob(f"photos/{name}").upload_from_filename(photos / name)
    command = [sys.executable, "-m", "stylebeam", "train", "--style-image", str(photos / "b.png")]
    options = {"crop_size": 32, "style_size": 32, "iterations": 2, "held_out": "[c.*]"}
    settings = [f"--set={key}={value}" for key, value in options.items()]
    paths = ["--content-images", "gs://archive/photos", "--output", "own.safetensors"]
    done = subprocess.run(
        [*command, *paths, *settings], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    checkpoint = parse_checkpoint((tmp_path / "own.safetensors").read_bytes())
    assert checkpoint.styles["b"].training["content_images"] == "1 photographs"
    assert "held-out loss" in done.stdout
    paths[1] = "gs://archive/nothing"
    done = subprocess.run(
        [*command, *paths], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "content_images: there are no images in gs://archive/nothing." in done.stderr


@pytest.mark.slow
def test_a_sweep_of_an_optimization_with_a_painting_in_a_bucket(
    bucket: gcs.Bucket, photos: Path, tmp_path: Path
) -> None:
    bucket.blob("photos/below/c.jpeg").upload_from_filename(photos / "below" / "c.jpeg")
    bucket.blob("photos/broken.png").upload_from_string(b"no image")
    bucket.blob("paintings/one.png").upload_from_filename(photos / "b.png")
    (tmp_path / "sweep.yaml").write_text("""
batches:
  - name: archive
    input: gs://archive/photos
    output: gs://archive/swept
    method: gatys
    gatys: {style_image: gs://archive/paintings/one.png}
sweep:
  columns: {key: gatys.iterations, values: [1, 3]}
""")
    done = subprocess.run(
        [sys.executable, "-m", "stylebeam", "sweep", str(tmp_path / "sweep.yaml")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 3, done.stderr
    written = {blob.name.removeprefix("swept/"): blob for blob in bucket.list_blobs(prefix="swept")}
    images = {name for name, blob in written.items() if blob.content_type == "image/png"}
    assert images == {"below/c.png", "broken.png", "cells/1_1/below/c.png", "cells/1_2/below/c.png"}


CONFIG = """
batches:
  - name: archive
    input: gs://archive/photos
    output: gs://archive/styled
    fast: {style: style.safetensors}
run: {device: cpu}
"""


@pytest.fixture
def folder(tmp_path: Path, checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a config of a run from a bucket to the same bucket."""
    (tmp_path / "style.safetensors").symlink_to(checkpoint_path)
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_rewritten_photo_is_redone_and_an_edited_output_is_left_alone(
    bucket: gcs.Bucket, photos: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.jpg", "b.png", "below/c.jpeg"):
        bucket.blob(f"photos/{name}").upload_from_filename(photos / name)
    assert main(["run", "config.yaml"]) == 0
    # The same bytes, but a new generation.
    bucket.blob("photos/b.png").upload_from_filename(photos / "b.png")
    bucket.blob("styled/below/c.jpeg").upload_from_string(b"edited by hand")
    assert main(["run", "config.yaml"]) == 3
    statuses = {
        outcome.output.removeprefix("gs://archive/styled/"): outcome.status
        for outcome in read_outcomes("gs://archive/styled")
    }
    assert statuses == {"a.jpg": "skipped", "b.png": "done", "below/c.jpeg": "failed"}
    assert bucket.blob("styled/below/c.jpeg").download_as_bytes() == b"edited by hand"
    assert "exists already and was not written by a run, or was changed" in capsys.readouterr().out


@pytest.mark.slow
def test_each_read_and_each_write_is_one_request(
    bucket: gcs.Bucket, emulator: str, photos: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, shown = 50, 40
    for number in range(images):
        bucket.blob(f"photos/{number}.jpg").upload_from_filename(photos / "a.jpg")
    with FaultyProxy(emulator, lambda request: None) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        done = subprocess.run(
            [sys.executable, "-m", "stylebeam", "run", "config.yaml", "--direct_num_workers=2"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    reads = Counter(each.path for each in proxy.requests if "alt=media" in each.path)
    writes = Counter(each.path for each in proxy.requests if each.method == "POST")
    photos_read = [count for path, count in reads.items() if "photos" in path]
    outputs_read = [count for path, count in reads.items() if "styled" in path and ".jpg" in path]
    # Once for the run, and once more for the report if the report shows it.
    assert sorted(photos_read) == [1] * (images - shown) + [2] * shown
    assert outputs_read == [1] * shown
    # The outputs, the three files of the record, and the lease, which is taken and then given the
    # version of the file. (The names of objects are in the bodies.)
    assert sum(writes.values()) == images + 5
    listings = len(proxy.requests) - sum(reads.values()) - sum(writes.values())
    assert listings <= 8
    assert proxy.connections <= 4


def test_names_that_are_invalid_on_disks_and_placeholders_of_folders(
    bucket: gcs.Bucket,
) -> None:
    names = ("double//slash.jpg", "k" * 990 + ".jpg")
    for name in names:
        bucket.blob(f"odd/{name}").upload_from_string(name.encode())
    for placeholder in ("odd/", "odd/below/", "odd/folder.jpg/"):
        bucket.blob(placeholder).upload_from_string(b"")
    found = {image.relative: image for image in inputs.list_images("gs://archive/odd")}
    assert set(found) == set(names)
    for name, image in found.items():
        assert storage.read(image.path) == name.encode()
        storage.write(f"gs://archive/copy/{name}", name.encode())
    copies = {blob.name for blob in bucket.list_blobs(prefix="copy/")}
    assert copies == {f"copy/{name}" for name in names}


def test_names_that_lead_out_of_the_output_folder_are_refused(
    bucket: gcs.Bucket, photos: Path, folder: Path
) -> None:
    data = (photos / "a.jpg").read_bytes()
    names = ("../../escaped.jpg", "below/../../../escaped.jpg", "/escaped.jpg", "fine.jpg")
    for name in names:
        bucket.blob(f"photos/{name}").upload_from_string(data)
    settings = ["--set", f"batches.archive.output={folder}/deep/er/out"]
    assert main(["run", "config.yaml", *settings]) == 3
    outcomes = {each.input: each for each in read_outcomes(f"{folder}/deep/er/out")}
    bad = [each for path, each in outcomes.items() if ".." in path]
    assert {each.status for each in bad} == {"failed"}
    assert len(bad) == 2
    assert all("leads out of any folder" in each.error for each in bad)
    inside = {path for path in folder.rglob("*.jpg") if photos not in path.parents}
    assert inside == {folder / f"deep/er/out/{name}.jpg" for name in ("escaped", "fine")}


@pytest.mark.slow
def test_a_listing_of_many_pages(
    bucket: gcs.Bucket, emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {f"many/{number:04}.jpg" for number in range(1050)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: bucket.blob(name).upload_from_string(b""), names))
    with FaultyProxy(emulator, lambda request: None) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        use_storage(monkeypatch, "gs", GoogleCloudStorage(page_size=100))
        found = [image.path for image in inputs.list_images("gs://archive/many")]
    assert len(proxy.requests) == 11
    assert len(found) == len(names)
    assert {path.removeprefix("gs://archive/") for path in found} == names


def test_a_missing_bucket_is_an_error(bucket: gcs.Bucket) -> None:
    with pytest.raises(storage.StorageError, match=r"listed: there is no bucket named nowhere\."):
        list(inputs.list_images("gs://nowhere/photos"))
    with pytest.raises(storage.StorageError, match=r"written: there is no bucket named nowhere\."):
        storage.write("gs://nowhere/x", b"")
    with pytest.raises(storage.StorageError, match="there is no such"):
        storage.read("gs://nowhere/x")
    with pytest.raises(storage.StorageError, match=r"gs:///x cannot be read: it names no bucket\."):
        storage.read("gs:///x")


def test_a_run_from_a_missing_bucket_or_folder(
    bucket: gcs.Bucket, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.blob("empty/notes.txt").upload_from_string(b"")
    for missing in ("gs://archive/photos", "gs://archive/a.jpg", "gs://archive/emp"):
        assert main(["validate", "config.yaml", "--set", f"batches.archive.input={missing}"]) == 2
        assert f"{missing} does not exist" in capsys.readouterr().err
    for empty in ("gs://archive/empty", "gs://archive", "gs://archive/emp*"):
        settings = [f"--set=batches.archive.{key}" for key in (f"input={empty}", "output=out")]
        assert main(["validate", "config.yaml", "--quick", *settings]) == 0
        assert "contains no images" in capsys.readouterr().out
    settings = ["--set=batches.archive.input=gs://nowhere/photos"]
    assert main(["validate", "config.yaml", *settings]) == 1
    assert "there is no bucket named nowhere." in capsys.readouterr().err


def test_a_checksum_that_does_not_match_is_tried_again(
    bucket: gcs.Bucket, emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.blob("photo.jpg").upload_from_string(b"contents")
    faults = ["corrupt", "corrupt"]

    def choose(request: Request) -> str | None:
        return faults.pop() if faults else None

    with FaultyProxy(emulator, choose) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        use_storage(monkeypatch, "gs", GoogleCloudStorage())
        assert storage.read("gs://archive/photo.jpg") == b"contents"
    assert proxy.faults == {"corrupt": 2}


def test_an_object_that_expands_is_read_up_to_the_bound(bucket: gcs.Bucket) -> None:
    blob = bucket.blob("bomb.jpg")
    blob.content_encoding = "gzip"
    stored = gzip.compress(bytes(20_000_000))
    blob.upload_from_string(stored)
    path = "gs://archive/bomb.jpg"
    assert storage.read(path) == bytes(20_000_000)
    words = (
        rf"has {len(stored) / 1000:.1f} kB, and expands to more than the 3\.0 MB that are read\."
    )
    with pytest.raises(storage.StorageError, match=words):
        storage.read(path, max_bytes=3_000_000)


def test_an_object_that_is_no_gzip(bucket: gcs.Bucket) -> None:
    blob = bucket.blob("photo.jpg")
    blob.content_encoding = "gzip"
    blob.upload_from_string(b"not compressed")
    with pytest.raises(storage.StorageError, match="Content-Encoding is gzip, but its contents"):
        storage.read("gs://archive/photo.jpg")


def test_a_denied_access_is_told_in_the_words_of_the_storage(
    bucket: gcs.Bucket, emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "gs://archive/photo.jpg"
    actions: list[Callable[[], object]] = [
        lambda: storage.read(path),
        lambda: storage.write(path, b"x"),
        lambda: storage.delete(path),
        lambda: storage.file_at(path),
        lambda: list(storage.list_files("gs://archive", "gs://archive/**")),
    ]
    # Whole words, and no address.
    words = r": access is denied \(403\): (no access to this object, )+no access to …\.$"
    with FaultyProxy(emulator, lambda request: "403") as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        use_storage(monkeypatch, "gs", GoogleCloudStorage())
        for action in actions:
            with pytest.raises(storage.StorageError, match=words):
                action()


@pytest.mark.slow
def test_a_report_that_cannot_be_written_does_not_take_the_summary_with_it(
    bucket: gcs.Bucket,
    emulator: str,
    photos: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bucket.blob("photos/a.jpg").upload_from_filename(photos / "a.jpg")

    def choose(request: Request) -> str | None:
        return "403" if b"report.html" in request.body_start else None

    with FaultyProxy(emulator, choose) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        use_storage(monkeypatch, "gs", GoogleCloudStorage())
        assert main(["run", "config.yaml"]) == 1
    shown = capsys.readouterr()
    assert "archive: 1 done, 0 failed" in shown.out
    assert "There is no report of this run in gs://archive/styled: " in shown.err


def test_names_that_no_disk_can_have_are_failures_and_not_passed_over(bucket: gcs.Bucket) -> None:
    for name in ("./dot.jpg", "below/./dot.jpg", "../up.jpg", "fine.jpg", ".hidden.jpg"):
        bucket.blob(f"odd/{name}").upload_from_string(b"x")
    found = {image.relative: image.mistake for image in inputs.list_images("gs://archive/odd")}
    assert {name for name, mistake in found.items() if mistake is None} == {"fine.jpg"}
    assert set(found) == {"./dot.jpg", "below/./dot.jpg", "../up.jpg", "fine.jpg"}


def answer(status: int) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    return response


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            from_http_status(403, "GET https://a/b?key=c: no access"),
            "access is denied (403): no access",
        ),
        (from_http_status(403, "GET https://a/b?key=c: ('failed', 403)"), "access is denied (403)"),
        (
            from_http_status(403, "GET https://a/b?key=c: no entry: ('failed', 403, <HTTPStatus"),
            "access is denied (403): no entry",
        ),
        (
            from_http_status(401, "<Error><Message>Sign\nin.</Message></Error>: ('failed', 401)"),
            "access is denied (401): Sign in",
        ),
        (from_http_status(400, "<html>no words</html>"), "the storage answered 400 (Bad Request)"),
        (from_http_status(404, "The specified bucket does not exist."), "there is no such bucket"),
        (from_http_status(520, ""), "the storage answered 520 (an unknown code)"),
        (
            InvalidResponse(answer(503), "failed"),
            "the storage answered 503 (Service Unavailable)",
        ),
        (
            RetryError("no more", InvalidResponse(answer(429), "failed")),
            "the storage answered 429 (Too Many Requests), however often it was tried",
        ),
    ],
)
def test_the_reason_of_an_error_has_no_addresses(error: Exception, words: str) -> None:
    assert GoogleCloudStorage().reason(error) == words
