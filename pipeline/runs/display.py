"""Shows how far a run is, while it runs: bars on a terminal, else lines of what has changed."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from stylebeam.pipeline.runs.progress import Tally
from stylebeam.pipeline.runs.stopping import StopSign
from stylebeam.pipeline.wording import duration

_SECONDS_BETWEEN_LOOKS = 0.25
_SECONDS_BETWEEN_LINES = 30.0
# Over which a batch's speed is taken: an optimisation takes minutes for an image.
_SPEED_PERIOD = 600.0


class Display:
    """Shows a run: bars, if the console is a terminal, else now and then lines.

    There is a line for each batch in which something has changed since the lines before.
    """

    def __init__(
        self,
        images: Mapping[str, int],
        console: Console,
        seconds_between_lines: float = _SECONDS_BETWEEN_LINES,
    ) -> None:
        """Make a display.

        Args:
            images: how many there are to do, by the batch's name.
            console: where to show the run.
            seconds_between_lines: where bars cannot be shown.
        """
        self._console = console
        self._bars = _Bars(console)
        self._tasks = {name: self._bars.add_task(name, total=n) for name, n in images.items() if n}
        self._seconds_between_lines = seconds_between_lines
        self._is_stopping = False

    @contextlib.contextmanager
    def watching(self, tally: Tally, sign: StopSign) -> Iterator[None]:
        """Show a run within a `with`.

        Args:
            tally: what became of images so far.
            sign: says whether the run is to stop.
        """
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(tally, sign, ended), daemon=True)
        live = self._console.is_interactive and self._tasks
        with self._bars if live else contextlib.nullcontext():
            watcher.start()
            try:
                yield
            finally:
                ended.set()
                watcher.join()

    def restore_terminal(self) -> None:
        """Make up for a display that does not get to its end."""
        self._console.show_cursor(True)

    def _watch(self, tally: Tally, sign: StopSign, ended: threading.Event) -> None:
        next_lines = time.monotonic() + self._seconds_between_lines
        said: dict[TaskID, float] = {}
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            self._look(tally, sign)
            if self._console.is_interactive:
                self._bars.refresh()
            elif time.monotonic() >= next_lines:
                next_lines += self._seconds_between_lines
                for task in self._bars.tasks:
                    if said.get(task.id) != task.completed:
                        said[task.id] = task.completed
                        self._say(_line(task))
        # A run that was stopped may have ended before the sign was seen.
        self._look(tally, sign)

    def _look(self, tally: Tally, sign: StopSign) -> None:
        """Take note of how far the run is."""
        for name, task in self._tasks.items():
            counts = tally.counts(name)
            self._bars.update(task, completed=counts.total(), failed=counts["failed"])
        if not self._is_stopping and (reason := sign.reason):
            self._is_stopping = True
            self._say(
                f"stylebeam: stopping once the images under way are done: {reason}. Interrupt to"
                " stop at once."
            )

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class _Bars(Progress):
    """A bar for each batch."""

    def __init__(self, console: Console) -> None:
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            _Column(_done),
            _Column(_failures, style="red"),
            _Column(_speed, style="cyan"),
            _Column(_time_left, style="green"),
            console=console,
            auto_refresh=False,
            transient=True,
            expand=True,
            speed_estimate_period=_SPEED_PERIOD,
        )


class _Column(ProgressColumn):
    """A column of words about each batch."""

    def __init__(self, words: Callable[[Task], str], style: str = "") -> None:
        super().__init__()
        self._words = words
        self._style = style

    def render(self, task: Task) -> Text:
        """Return the words."""
        return Text(self._words(task), style=self._style)


def _line(task: Task) -> str:
    """Return how far a batch is, in a line."""
    words = [_done(task), _failures(task), _speed(task), _time_left(task)]
    return f"{task.description}: " + ", ".join(filter(None, words))


def _done(task: Task) -> str:
    return f"{task.completed:.0f} of {task.total or 0:.0f}"


def _failures(task: Task) -> str:
    failed = task.fields.get("failed", 0)
    return f"{failed} failed" if failed else ""


def _speed(task: Task) -> str:
    if not task.speed:
        return ""
    return f"{task.speed:.1f} images/s" if task.speed >= 0.5 else f"{1 / task.speed:.0f} s an image"


def _time_left(task: Task) -> str:
    if task.finished or task.time_remaining is None:
        return ""
    return f"{duration(task.time_remaining)} left"
