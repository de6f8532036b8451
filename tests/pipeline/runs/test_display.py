"""The display of a run: bars on a terminal, otherwise lines of text."""

import io
import os
import pty
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from stylebeam.pipeline.archive.records import Outcome, Status
from stylebeam.pipeline.beam.stopping import StopSign
from stylebeam.pipeline.beam.tally import Tally
from stylebeam.pipeline.runs.display import Display
from stylebeam.pipeline.wording import duration
from tests.helpers.waiting import wait_until

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def outcome(batch: str, status: Status) -> Outcome:
    return Outcome(batch, "in.jpg", "out.jpg", status, recipe="", seconds=1.0)


def add_many(folder: str, status: Status) -> None:
    for _ in range(500):
        Tally(folder).add(outcome("all", status))


class Screen:
    """A console, and everything that was written to it."""

    def __init__(self, is_terminal: bool) -> None:
        self.file = io.StringIO()
        self.console = Console(
            file=self.file, force_terminal=is_terminal, width=120, _environ={"TERM": "xterm"}
        )

    def wait_for(self, *words: str) -> None:
        def is_shown() -> bool:
            return all(word in self.file.getvalue() for word in words)

        wait_until(is_shown, f"the display shows {words}")


def test_processes_count_together(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as processes:
        statuses: list[Status] = ["done", "failed", "done", "skipped"]
        for call in [processes.submit(add_many, str(tmp_path), status) for status in statuses]:
            call.result(60)
    tally = Tally(str(tmp_path))
    assert tally.counts("all") == {"done": 1000, "failed": 500, "skipped": 500}
    assert tally.counts("another").total() == 0


def test_bars_follow_the_tally(tmp_path: Path) -> None:
    screen, tally = Screen(is_terminal=True), Tally(str(tmp_path))
    names = {"a/b: [bold]c[/bold] \udcff": 3, "later": 2, "empty": 0}
    display = Display(names, screen.console)
    first = next(iter(names))
    with display.watching(tally, StopSign(str(tmp_path / "sign"))):
        screen.wait_for("[bold]c[/bold]", "0 of 3", "0 of 2")
        tally.add(outcome(first, "done"))
        tally.add(outcome(first, "failed"))
        screen.wait_for("2 of 3", "1 failed")
    assert "empty" not in screen.file.getvalue()
    assert screen.file.getvalue().rindex(SHOW_CURSOR) > screen.file.getvalue().rindex(HIDE_CURSOR)


def test_without_a_terminal_lines_follow_the_tally(tmp_path: Path) -> None:
    screen, tally = Screen(is_terminal=False), Tally(str(tmp_path))
    display = Display({"all": 3, "other": 1}, screen.console, seconds_between_lines=0.01)
    with display.watching(tally, StopSign(str(tmp_path / "sign"))):
        screen.wait_for("all: 0 of 3", "other: 0 of 1")
        tally.add(outcome("all", "failed"))
        screen.wait_for("all: 1 of 3, 1 failed")
        tally.add(outcome("other", "done"))
        screen.wait_for("other: 1 of 1")
    lines = screen.file.getvalue().splitlines()
    assert len(lines) == 4, "a batch is not shown again before it changes"
    assert "\x1b" not in screen.file.getvalue()


def test_a_stopping_run_says_so_once(tmp_path: Path) -> None:
    screen, sign = Screen(is_terminal=False), StopSign(str(tmp_path / "sign"))
    tally = Tally(str(tmp_path))
    display = Display({"all": 3}, screen.console, seconds_between_lines=0.01)
    with display.watching(tally, sign):
        sign.set("enough is enough")
        screen.wait_for("stopping once the images in progress are done: enough is enough.")
        tally.add(outcome("all", "done"))
        screen.wait_for("all: 1 of 3")
    assert screen.file.getvalue().count("stopping") == 1


def test_a_run_that_ends_while_it_is_stopped_says_so(tmp_path: Path) -> None:
    screen, sign = Screen(is_terminal=False), StopSign(str(tmp_path / "sign"))
    with Display({"all": 3}, screen.console).watching(Tally(str(tmp_path)), sign):
        sign.set("enough")
    assert "enough" in screen.file.getvalue()


def test_an_interrupted_display_shows_the_cursor_again(tmp_path: Path) -> None:
    screen = Screen(is_terminal=True)
    display = Display({"all": 3}, screen.console)
    with display.watching(Tally(str(tmp_path)), StopSign(str(tmp_path / "sign"))):
        screen.wait_for("0 of 3")
        display.restore_terminal()
        assert screen.file.getvalue().endswith(SHOW_CURSOR)


def on_a_terminal(command: list[str]) -> tuple[int, str]:
    """Run a command in a terminal; return its exit code and its output without escape codes."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    with subprocess.Popen(command, env=environment, **pipes) as process:
        os.close(terminal)
        written = b""
        while True:
            try:
                part = os.read(controller, 65536)
            except OSError:  # Linux raises this when the other end is closed.
                break
            if not part:
                break
            written += part
    os.close(controller)
    return process.returncode, re.sub(r"\x1b\[[\d;?]*\w", "", written.decode())


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["in_memory", "multi_processing"])
def test_a_run_on_a_terminal(one_batch: Path, photos: Path, mode: str) -> None:
    (photos / "bad.jpg").write_text("no image")
    for number in range(20):
        Image.new("RGB", (200, 200), (number, 0, 0)).save(photos / f"{number}.png")
    command = [sys.executable, "-m", "stylebeam", "run", "config.yaml", "--direct_num_workers=2"]
    code, written = on_a_terminal([*command, f"--direct_running_mode={mode}"])
    assert code == 3
    assert "0 of 24" in written
    assert "Networks are computed on the CPU by" in written
    table = written[written.rindex("batch") :]
    row = next(line for line in table.splitlines() if "all" in line)
    assert [word for word in row.replace("│", " ").split() if word.isdigit()] == ["23", "0", "1"]
    assert "failed: photos/bad.jpg: The file is not an image" in table
    assert "INFO" not in written
    assert "WARNING" not in written
    assert written.count("\n") < 60, "Beam's logs are not shown"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3600, "1 h 0 min"),
        (8100, "2 h 15 min"),
        (4 * 86400 + 3 * 3600 + 59, "4 d 3 h"),
    ],
)
def test_durations_have_one_or_two_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words
