"""What is shown while a run goes on: bars on a terminal, else lines."""

import io
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from stylebeam.pipeline.archive.records import Outcome, Status
from stylebeam.pipeline.runs.display import Display
from stylebeam.pipeline.runs.progress import Tally
from stylebeam.pipeline.runs.stopping import StopSign
from stylebeam.pipeline.wording import duration

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def outcome(batch: str, status: Status) -> Outcome:
    return Outcome(batch, "in.jpg", "out.jpg", status, recipe="", seconds=1.0)


def add_many(folder: str, status: Status) -> None:
    for _ in range(500):
        Tally(folder).add(outcome("all", status))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Screen:
    """A console, and all that was ever written to it."""

    def __init__(self, terminal: bool) -> None:
        self.file = io.StringIO()
        self.console = Console(
            file=self.file, force_terminal=terminal, width=120, _environ={"TERM": "xterm"}
        )

    def shows(self, *words: str) -> Callable[[], bool]:
        return lambda: all(word in self.file.getvalue() for word in words)


def test_processes_count_together(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as processes:
        statuses: list[Status] = ["done", "failed", "done", "skipped"]
        for call in [processes.submit(add_many, str(tmp_path), status) for status in statuses]:
            call.result(60)
    tally = Tally(str(tmp_path))
    assert tally.counts("all") == {"done": 1000, "failed": 500, "skipped": 500}
    assert tally.counts("another").total() == 0


def test_bars_follow_the_tally(tmp_path: Path) -> None:
    screen, tally = Screen(terminal=True), Tally(str(tmp_path))
    names = {"a/b: [bold]c[/bold] \udcff": 3, "later": 2, "empty": 0}
    display = Display(names, screen.console)
    first = next(iter(names))
    with display.watching(tally, StopSign(str(tmp_path / "sign"))):
        wait_for(screen.shows("[bold]c[/bold]", "0 of 3", "0 of 2"))
        tally.add(outcome(first, "done"))
        tally.add(outcome(first, "failed"))
        wait_for(screen.shows("2 of 3", "1 failed"))
    assert "empty" not in screen.file.getvalue()
    assert screen.file.getvalue().rindex(SHOW_CURSOR) > screen.file.getvalue().rindex(HIDE_CURSOR)


def test_lines_where_bars_cannot_be(tmp_path: Path) -> None:
    screen, tally = Screen(terminal=False), Tally(str(tmp_path))
    display = Display({"all": 3, "other": 1}, screen.console, seconds_between_lines=0.01)
    with display.watching(tally, StopSign(str(tmp_path / "sign"))):
        wait_for(screen.shows("all: 0 of 3", "other: 0 of 1"))
        tally.add(outcome("all", "failed"))
        wait_for(screen.shows("all: 1 of 3, 1 failed"))
        tally.add(outcome("other", "done"))
        wait_for(screen.shows("other: 1 of 1"))
    lines = screen.file.getvalue().splitlines()
    assert len(lines) == 4, "what has not changed is not said again"
    assert "\x1b" not in screen.file.getvalue()


def test_that_a_run_is_to_stop_is_said_once(tmp_path: Path) -> None:
    screen, sign = Screen(terminal=False), StopSign(str(tmp_path / "sign"))
    tally = Tally(str(tmp_path))
    display = Display({"all": 3}, screen.console, seconds_between_lines=0.01)
    with display.watching(tally, sign):
        sign.put_up("enough is enough")
        wait_for(screen.shows("stopping once the images under way are done: enough is enough."))
        tally.add(outcome("all", "done"))
        wait_for(screen.shows("all: 1 of 3"))
    assert screen.file.getvalue().count("stopping") == 1


def test_a_run_that_ends_as_it_is_stopped_says_so(tmp_path: Path) -> None:
    screen, sign = Screen(terminal=False), StopSign(str(tmp_path / "sign"))
    with Display({"all": 3}, screen.console).watching(Tally(str(tmp_path)), sign):
        sign.put_up("enough")
    assert "enough" in screen.file.getvalue()


def test_a_display_that_is_broken_off_gives_the_cursor_back(tmp_path: Path) -> None:
    screen = Screen(terminal=True)
    display = Display({"all": 3}, screen.console)
    with display.watching(Tally(str(tmp_path)), StopSign(str(tmp_path / "sign"))):
        wait_for(screen.shows("0 of 3"))
        display.restore_terminal()
        assert screen.file.getvalue().endswith(SHOW_CURSOR)


def on_a_terminal(command: list[str]) -> tuple[int, str]:
    """Run a command on a terminal of its own; return its exit code and what it wrote, bare."""
    mine, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment) as process:
        os.close(its)
        written = b""
        while True:
            try:
                part = os.read(mine, 65536)
            except OSError:  # So Linux says that the other end is closed.
                break
            if not part:
                break
            written += part
    os.close(mine)
    return process.returncode, re.sub(r"\x1b\[[\d;?]*\w", "", written.decode())


@pytest.mark.parametrize("mode", ["in_memory", "multi_processing"])
def test_a_run_on_a_terminal(one_batch: Path, photos: Path, mode: str) -> None:
    (photos / "bad.jpg").write_text("no image")
    for number in range(20):
        Image.new("RGB", (200, 200), (number, 0, 0)).save(photos / f"{number}.png")
    command = [sys.executable, "-m", "stylebeam", "run", "config.yaml", "--direct_num_workers=2"]
    code, written = on_a_terminal([*command, f"--direct_running_mode={mode}"])
    assert code == 3
    assert "0 of 24" in written
    assert "Fast networks are computed on the CPU by" in written
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
def test_times_are_said_as_people_do(seconds: float, words: str) -> None:
    assert duration(seconds) == words
