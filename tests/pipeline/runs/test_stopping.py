"""Runs that are stopped before their end: by signals, and by too many failures."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.config.run_config import RunOptions
from stylebeam.pipeline.runs.stopping import StopSign

IMAGES = 400


@pytest.fixture(autouse=True)
def many_photos(one_batch: Path, photos: Path) -> None:
    """Makes the photos of the batch many."""
    for number in range(IMAGES - 3):
        os.link(photos / "a.jpg", photos / f"{number}.jpg")


@contextmanager
def running(*flags: str) -> Iterator[subprocess.Popen[str]]:
    """A run in a session of its own, once its first output is there."""
    # In a shell's background SIGINT is ignored, and what ignores it passes that on.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "stylebeam", "run", "config.yaml", *flags]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    try:
        with subprocess.Popen(command, start_new_session=True, **pipes) as process:
            deadline = time.monotonic() + 120
            while not list(Path("out").glob("*.jpg")):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield process
    finally:
        signal.signal(signal.SIGINT, before)


def wait_for_workers_that_ignore_interrupts(process: int) -> None:
    deadline = time.monotonic() + 60
    children = Path(f"/proc/{process}/task/{process}/children")
    while True:
        ignored = [
            int(re.search(r"SigIgn:\s*(\w+)", Path(f"/proc/{child}/status").read_text())[1], 16)
            for child in children.read_text().split()
        ]
        if all(mask >> (signal.SIGINT - 1) & 1 for mask in ignored):
            return
        assert time.monotonic() < deadline
        time.sleep(0.02)


def check_record() -> Counter[str]:
    """Every input has one outcome, which is true; return how many have which."""
    outcomes = {outcome.input: outcome for outcome in read_outcomes("out")}
    assert len(outcomes) == IMAGES
    for outcome in outcomes.values():
        assert Path(outcome.output).exists() == (outcome.status == "done")
        if outcome.status == "done":
            with Image.open(outcome.output) as image:
                image.load()
        else:
            assert outcome.error.startswith("It was not begun with: ")
    assert not list(Path("out").rglob("*.part"))
    return Counter(outcome.status for outcome in outcomes.values())


@pytest.mark.parametrize("mode", ["in_memory", "multi_processing"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_what_is_under_way_and_records_all(
    number: signal.Signals, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--direct_num_workers=2", f"--direct_running_mode={mode}"]
    with running(*flags) as process:
        if number == signal.SIGINT:
            # As a terminal does, to the workers too.
            wait_for_workers_that_ignore_interrupts(process.pid)
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "stopping once the images under way are done" in err
    assert "stopped before the end: the run was interrupted." in err
    # Beam's worker processes say much.
    assert "Traceback" not in err or mode == "multi_processing"
    counts = check_record()
    assert counts["done"] >= 1
    assert counts["skipped"] >= 1
    assert f"all: {counts['done']} done, {counts['skipped']} skipped, 0 failed" in out
    assert main(["run", "config.yaml"]) == 0, capsys.readouterr().err
    after = Counter(outcome.status for outcome in read_outcomes("out"))
    assert after == {"skipped": counts["done"], "done": counts["skipped"]}


def test_a_second_signal_ends_it_at_once() -> None:
    with running() as process:
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)
    assert process.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    assert not Path("out/_stylebeam/outcomes.jsonl").exists()


INTERRUPTED_WHILE_IT_WRITES = """
import os, signal, sys, tempfile, time
from pathlib import Path
from stylebeam.pipeline.cli import arguments as cli
from stylebeam.pipeline.beam import stylize

def interrupt_and_write(*arguments, write=stylize.write_result):
    os.kill(os.getpid(), signal.SIGINT)
    deadline = time.monotonic() + 60
    while not list(Path(tempfile.gettempdir()).glob("stylebeam-*/sign/reason")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    write(*arguments)

signal.signal(signal.SIGINT, signal.default_int_handler)
stylize.write_result = interrupt_and_write
sys.exit(cli.main(["run", "config.yaml"]))
"""


def test_a_signal_when_all_are_under_way_stops_nothing(photos: Path) -> None:
    for path in [path for path in photos.rglob("*") if path.is_file()][1:]:
        path.unlink()
    Path("temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_IT_WRITES],
        env={**os.environ, "TMPDIR": "temporary"},
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stderr
    assert "stopping once the images under way are done" in done.stderr
    assert "stopped before the end" not in done.stderr
    assert "all: 1 done, 0 failed" in done.stdout


def test_too_many_failures_stop_the_run(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(IMAGES - 3):
        (photos / f"{number}.jpg").unlink()
        (photos / f"{number}.jpg").write_text("no image")
    assert main(["run", "config.yaml", "--set", "run.max_failures=5"]) == 1
    counts = Counter(outcome.status for outcome in read_outcomes("out"))
    assert counts["failed"] >= 6
    assert counts["skipped"] > IMAGES / 2
    assert counts.total() == IMAGES
    assert "more than 5 images failed (max_failures)" in capsys.readouterr().err


def test_many_may_stop_it_at_once(tmp_path: Path) -> None:
    sign = StopSign(str(tmp_path / "sign"))
    with ThreadPoolExecutor(16) as threads:
        for call in [threads.submit(sign.put_up, f"reason {number}") for number in range(400)]:
            call.result(60)
    assert sign.reason is not None
    assert os.listdir(sign.folder) == ["reason"]


def test_failures_up_to_the_limit_do_not_stop_it(photos: Path) -> None:
    for number in range(5):
        (photos / f"{number}.jpg").unlink()
        (photos / f"{number}.jpg").write_text("no image")
    for number in range(5, IMAGES - 10):
        (photos / f"{number}.jpg").unlink()
    assert main(["run", "config.yaml", "--set", "run.max_failures=5"]) == 3
    assert "skipped" not in {outcome.status for outcome in read_outcomes("out")}


@pytest.mark.parametrize(
    ("max_failures", "images", "most"),
    [(None, 100, None), (0, 100, 0), (7, 100, 7), (0.05, 100, 5), (0.05, 10, 0), (1, 100, 1)],
)
def test_a_limit_is_a_count_or_a_part(
    max_failures: float | None, images: int, most: int | None
) -> None:
    assert RunOptions(max_failures=max_failures).most_failures(images) == most


def test_a_sign_is_seen_by_whoever_looks(tmp_path: Path) -> None:
    sign = StopSign(str(tmp_path / "new"), max_failures=2)
    for _ in range(2):
        sign.count_failure()
        assert sign.reason is None
    StopSign(sign.folder, 2).count_failure()
    assert sign.reason == "more than 2 images failed (max_failures)"
    sign.put_up("enough")
    assert sign.reason == "enough"
