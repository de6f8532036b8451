"""Runs that are stopped early, by signals or by too many failures."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.cli.arguments import main
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.slow

IMAGES = 400


@pytest.fixture(autouse=True)
def many_photos(one_batch: Path, photos: Path) -> None:
    """Adds photos to the batch, so that a run takes a while."""
    for number in range(IMAGES - 3):
        os.link(photos / "a.jpg", photos / f"{number}.jpg")


@contextmanager
def running(*flags: str) -> Iterator[subprocess.Popen[str]]:
    """Start a run in a session of its own, and yield it once its first output is there."""
    # A shell's background jobs ignore SIGINT, and processes inherit that.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "stylebeam", "run", "config.yaml", *flags]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    try:
        with subprocess.Popen(command, start_new_session=True, **pipes) as process:

            def has_output() -> bool:
                assert process.poll() is None, process.communicate()[1]
                return any(Path("out").glob("*.jpg"))

            wait_until(has_output, "the run has written an output", 120)
            yield process
    finally:
        signal.signal(signal.SIGINT, previous)


def check_record() -> Counter[str]:
    """Check that every input has one correct outcome, and return the number of each status."""
    outcomes = {outcome.input: outcome for outcome in read_outcomes("out")}
    assert len(outcomes) == IMAGES
    for outcome in outcomes.values():
        assert Path(outcome.output).exists() == (outcome.status == "done")
        if outcome.status == "done":
            with Image.open(outcome.output) as image:
                image.load()
        else:
            assert "the run was interrupted" in outcome.error
    assert not list(Path("out").rglob("*.part"))
    return Counter(outcome.status for outcome in outcomes.values())


@pytest.mark.parametrize("mode", ["in_memory", "multi_processing"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_completes_the_images_in_progress_and_records_all(
    number: signal.Signals, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--direct_num_workers=2", f"--direct_running_mode={mode}"]
    with running(*flags) as process:
        # As a terminal does; the workers are in a group of their own.
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "stopping once the images in progress are done" in err
    assert "stopped early: the run was interrupted." in err
    # Beam's worker processes may log tracebacks.
    assert "Traceback" not in err or mode == "multi_processing"
    counts = check_record()
    assert counts["done"] >= 1
    assert counts["skipped"] >= 1
    assert f"all: {counts['done']} done, {counts['skipped']} skipped, 0 failed" in out
    assert main(["run", "config.yaml"]) == 0, capsys.readouterr().err
    after = Counter(outcome.status for outcome in read_outcomes("out"))
    assert after == {"skipped": counts["done"], "done": counts["skipped"]}


def test_a_second_signal_ends_the_run_at_once() -> None:
    with running() as process:
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)
    assert process.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    assert not Path("out/_stylebeam/outcomes.jsonl").exists()


INTERRUPTED_DURING_A_WRITE = """
import os, signal, sys, tempfile
from pathlib import Path
from stylebeam.pipeline.beam import steps
from stylebeam.pipeline.cli.arguments import main
from tests.helpers.waiting import wait_until

def interrupt_and_write(*arguments, write=steps.write_result):
    os.kill(os.getpid(), signal.SIGINT)
    reasons = "stylebeam-*/sign/reason"
    wait_until(lambda: any(Path(tempfile.gettempdir()).glob(reasons)), "the run is stopping")
    write(*arguments)

signal.signal(signal.SIGINT, signal.default_int_handler)
steps.write_result = interrupt_and_write
sys.exit(main(["run", "config.yaml"]))
"""


def test_a_signal_when_all_images_are_in_progress_stops_nothing(photos: Path) -> None:
    for path in [path for path in photos.rglob("*") if path.is_file()][1:]:
        path.unlink()
    Path("temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_DURING_A_WRITE],
        env={**os.environ, "TMPDIR": "temporary", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stderr
    assert "stopping once the images in progress are done" in done.stderr
    assert "stopped early" not in done.stderr
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


def test_failures_up_to_the_limit_do_not_stop_a_run(photos: Path) -> None:
    for number in range(5):
        (photos / f"{number}.jpg").unlink()
        (photos / f"{number}.jpg").write_text("no image")
    for number in range(5, IMAGES - 10):
        (photos / f"{number}.jpg").unlink()
    assert main(["run", "config.yaml", "--set", "run.max_failures=5"]) == 3
    assert "skipped" not in {outcome.status for outcome in read_outcomes("out")}
