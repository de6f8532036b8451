"""Photos that end their process, never end, or take all memory: the run goes on and names them."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import apache_beam as beam
import pytest

from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.beam.steps import StylizeTasks
from stylebeam.pipeline.cli.arguments import main
from tests.helpers.command import stylebeam
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.slow

HOSTILE = Path(__file__).parents[2] / "helpers" / "hostile"
REASONS = {
    "SEGFAULT": "It ended the process that worked on it (signal 11, SIGSEGV), twice.",
    "FREEZE": "It ended the process that worked on it (exit code 1), twice.",
    "HANG": "It took longer than 3 s (image_deadline), and was given up while it was being"
    " decoded.",
    "SWELL": "It could not be decoded: there is not enough memory.",
}


@pytest.fixture(autouse=True)
def hostile_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HOSTILE), *sys.path]))


def add_photos(photos: Path, *words: str, good: int = 20) -> None:
    data = (photos / "a.jpg").read_bytes()
    for number in range(good):
        (photos / f"{number}.jpg").write_bytes(data)
    for word in words:
        (photos / f"{word}.jpg").write_bytes(data + word.encode())


def check_record(done: int, *words: str) -> None:
    outcomes = list(read_outcomes("out"))
    assert len(outcomes) == len({each.input for each in outcomes}) == done + len(words)
    assert Counter(each.status for each in outcomes) == Counter(done=done, failed=len(words))
    reasons = {Path(each.input).stem: each.error for each in outcomes if each.error}
    assert reasons == {word: REASONS[word] for word in words}
    left = {path.name for path in Path("out/_stylebeam").iterdir()}
    assert left == {"journal.jsonl", "outcomes.jsonl", "report.html", "run.json"}


@pytest.mark.parametrize("mode", ["in_memory", "multi_processing"])
def test_all_others_are_done_in_the_same_run(one_batch: Path, photos: Path, mode: str) -> None:
    add_photos(photos, *REASONS)
    flags = ["--direct_num_workers=2", f"--direct_running_mode={mode}"]
    run = stylebeam("run", "config.yaml", "--set", "run.image_deadline=3", *flags)
    assert run.returncode == 3, run.stderr
    assert "ended unexpectedly (signal 11, SIGSEGV) while it worked on " in run.stderr
    assert "SEGFAULT.jpg. The run continues." in run.stderr
    assert "Traceback" not in run.stderr
    assert "all: 23 done, 4 failed" in run.stdout
    assert run.stdout.count("all: 27 images in photos") == 1, "the plan is announced once"
    check_record(23, *REASONS)


def test_a_worker_that_ends_before_its_first_image(one_batch: Path, tmp_path: Path) -> None:
    (tmp_path / "dies").touch()
    flags = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    environment = {**os.environ, "WORKER_DIES": str(tmp_path / "dies")}
    run = stylebeam("run", "config.yaml", *flags, env=environment)
    assert run.returncode == 0, run.stderr
    assert "a process of the run ended unexpectedly (exit code 3). The run continues." in run.stderr
    assert not (tmp_path / "dies").exists()
    check_record(3)


def test_a_process_that_ends_before_anything_is_planned(one_batch: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "stylebeam", "run", "config.yaml"], stderr=subprocess.PIPE, text=True
    ) as run:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
        wait_until(lambda: bool(children.read_text()), "the run has a process")
        os.kill(int(children.read_text()), signal.SIGKILL)
        _, err = run.communicate()
    assert run.returncode == 0, err
    assert "ended unexpectedly (signal 9, SIGKILL). The run continues." in err
    check_record(3)


def test_a_run_that_cannot_go_on_says_so(one_batch: Path) -> None:
    # Every process ends before its first image.
    (one_batch / "sitecustomize.py").write_text(
        "import os, sys\nif 'stylebeam.pipeline.beam.worker' in sys.orig_argv: os._exit(3)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(one_batch), *sys.path])}
    flags = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    run = stylebeam("run", "config.yaml", *flags, env=environment)
    assert run.returncode == 1
    assert "ended unexpectedly (exit code 3); the run cannot continue." in run.stderr


def test_a_photo_that_ends_the_whole_command_is_tried_alone_and_given_up(
    one_batch: Path, photos: Path
) -> None:
    """As where a container ends all its processes when one takes too much memory."""
    add_photos(photos, "SEGFAULT", good=2)
    program = "from stylebeam.pipeline.cli.arguments import main; main(['run', 'config.yaml'])"
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -11
    assert main(["run", "config.yaml"]) == 3
    failed = [each for each in read_outcomes("out") if each.status == "failed"]
    assert [(Path(each.input).stem, each.error) for each in failed] == [
        ("SEGFAULT", "It ended the process that worked on it, three times.")
    ]


def test_images_that_a_runner_loses_are_named(
    one_batch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expand = StylizeTasks.expand
    monkeypatch.setattr(
        StylizeTasks,
        "expand",
        lambda self, work: expand(self, work) | beam.Filter(lambda each: "b.png" not in each.input),
    )
    assert main(["run", "config.yaml"]) == 1
    assert "Not every image has exactly one outcome: photos/b.png (0)." in capsys.readouterr().err


def test_json_is_all_that_standard_output_holds(one_batch: Path, photos: Path) -> None:
    add_photos(photos, "SEGFAULT", good=2)
    run = stylebeam("run", "config.yaml", "--json")
    assert run.returncode == 3, run.stderr
    [batch] = json.loads(run.stdout)["batches"]
    assert (batch["done"], batch["failed"]) == (5, 1)
