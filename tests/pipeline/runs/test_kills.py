"""Runs that are killed at random moments and continued lose nothing and do nothing twice.

`pytest tests/pipeline/runs/test_kills.py --kills=20` kills 20 runs.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from google.cloud import storage as gcs
from PIL import Image

from stylebeam.pipeline.cli.arguments import main
from tests.helpers.faulty_proxy import FaultyProxy
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.slow

IMAGES_PER_KILL = 15


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """The number of times to kill the run."""
    return request.config.getoption("--kills")


@pytest.fixture
def images(kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Enough different photos for the kills. The working directory is empty."""
    monkeypatch.chdir(tmp_path)
    images = {}
    for number in range(max(60, IMAGES_PER_KILL * kills)):
        noise = random.Random(number).randbytes(40 * 30 * 3)
        path = tmp_path / "noise.png"
        Image.frombytes("RGB", (40, 30), noise).save(path)
        images[f"{number % 7}/{number}.png"] = path.read_bytes()
    return images


def write_config(photos: str, out: str, checkpoint: Path) -> None:
    Path("config.yaml").write_text(f"""
batches:
  - {{name: all, input: "{photos}", output: "{out}", fast: {{style: "{checkpoint}"}}}}
run: {{device: cpu}}
""")


def run_and_kill(is_time: Callable[[], bool], delay: float) -> None:
    """Start the run, and kill it `delay` seconds after it is time."""
    command = [sys.executable, "-m", "stylebeam", "run", "config.yaml"]
    with subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        wait_until(lambda: is_time() or process.poll() is not None, "it is time to kill", 120)
        time.sleep(delay)
        [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.killpg(process.pid, signal.SIGKILL)
        wait_until(lambda: not Path("/proc", child).exists(), "its child process has ended too")
    assert process.returncode == -signal.SIGKILL, "the run ended before it was killed"


def run_with_kills(kills: int, images: int, written: Callable[[], int]) -> None:
    """Kill the run `kills` times, each after a random number of images, then complete it."""
    generator = random.Random(kills)
    for _ in range(kills):
        enough = written() + generator.randrange(2 * IMAGES_PER_KILL * images // (images + 30))
        # The delay makes it a random moment of an image.
        run_and_kill(lambda enough=enough: written() >= enough, generator.uniform(0, 0.1))
    assert main(["run", "config.yaml"]) == 0


def test_on_the_local_disk(images: dict[str, bytes], kills: int, checkpoint_path: Path) -> None:
    for name, data in images.items():
        path = Path("photos", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def outputs(folder: str) -> dict[str, bytes]:
        found = {}
        for path in Path(folder).rglob("*"):
            if path.is_file() and "_stylebeam" not in path.parts:
                found[str(path.relative_to(folder))] = path.read_bytes()
        return found

    write_config("photos", "whole", checkpoint_path)
    assert main(["run", "config.yaml"]) == 0
    write_config("photos", "out", checkpoint_path)
    run_with_kills(kills, len(images), lambda: len(list(Path("out").rglob("*.png"))))
    assert outputs("out").keys() == images.keys()
    assert outputs("out") == outputs("whole")
    journal = Path("out/_stylebeam/journal.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in journal if line]
    started = Counter(line["output"] for line in lines if "stamp" not in line)
    print(f"{kills} kills, {len(images)} images, started twice: {started.total() - len(started)}")
    assert started.total() - len(started) <= kills


def test_in_a_bucket(
    images: dict[str, bytes],
    kills: int,
    checkpoint_path: Path,
    bucket: gcs.Bucket,
    emulator: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, data in images.items():
        bucket.blob(f"photos/{name}").upload_from_string(data)

    def outputs(folder: str) -> dict[str, str]:
        blobs = bucket.list_blobs(prefix=f"{folder}/")
        return {
            blob.name.removeprefix(f"{folder}/"): blob.md5_hash
            for blob in blobs
            if "_stylebeam" not in blob.name
        }

    write_config("gs://archive/photos", "gs://archive/whole", checkpoint_path)
    assert main(["run", "config.yaml"]) == 0
    write_config("gs://archive/photos", "gs://archive/out", checkpoint_path)
    with FaultyProxy(emulator, lambda request: None) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)

        def uploads() -> list[bytes]:
            found = (
                re.search(rb'"name": "(out/[^"]*png)"', each.body_start) for each in proxy.requests
            )
            return [match[1] for match in found if match]

        run_with_kills(kills, len(images), lambda: len(uploads()))
    assert outputs("out").keys() == images.keys()
    assert outputs("out") == outputs("whole")
    twice = len(uploads()) - len(set(uploads()))
    print(f"{kills} kills, {len(images)} images, uploaded twice: {twice}")
    assert twice <= kills
