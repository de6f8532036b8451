"""Shows the progress of a run: bars on a terminal, otherwise lines of text."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from stylebeam.pipeline.archive.notes import Note, Notes
from stylebeam.pipeline.beam.stopping import StopSign
from stylebeam.pipeline.beam.tally import Tally
from stylebeam.pipeline.terminal import visible
from stylebeam.pipeline.wording import duration

_SECONDS_BETWEEN_UPDATES = 0.25
_SECONDS_BETWEEN_LINES = 30.0
_SECONDS_BETWEEN_LOOKS = 5.0
# Images that take longer are named.
_SECONDS_TO_NAME = 30.0
# Speeds are averages over this many seconds, as one image can take minutes to optimize.
_SPEED_PERIOD = 600.0


class Display:
    """Shows the progress of a run.

    On a terminal, each batch has a bar. Elsewhere, each batch whose counts have changed gets a line
    of text at regular intervals.
    """

    def __init__(
        self,
        images: Mapping[str, int],
        console: Console,
        seconds_between_lines: float = _SECONDS_BETWEEN_LINES,
    ) -> None:
        """Create a display.

        Args:
            images: number of images to do, by the name of the batch.
            console: where to show the progress.
            seconds_between_lines: interval in seconds between lines of text.
        """
        self._console = console
        self._bars = _Bars(console)
        self._tasks = {
            name: self._bars.add_task(visible(name), total=n) for name, n in images.items() if n
        }
        self._seconds_between_lines = seconds_between_lines
        self._is_stopping = False
        self._named: set[Note] = set()

    @contextlib.contextmanager
    def watching(self, tally: Tally, sign: StopSign, notes: Sequence[Notes] = ()) -> Iterator[None]:
        """Show a run in a background thread within a `with` block.

        Args:
            tally: counts the outcomes so far.
            sign: says whether the run should stop.
            notes: on the images in progress.
        """
        ended = threading.Event()
        watcher = threading.Thread(target=self.watch, args=(tally, sign, ended, notes), daemon=True)
        live = self._console.is_interactive and self._tasks
        with self._bars if live else contextlib.nullcontext():
            watcher.start()
            try:
                yield
            finally:
                ended.set()
                watcher.join()

    def restore_terminal(self) -> None:
        """Show the cursor again, for a process that exits while the run is shown."""
        self._console.show_cursor(True)

    def watch(
        self,
        tally: Tally,
        sign: StopSign,
        ended: threading.Event,
        notes: Sequence[Notes] = (),
    ) -> None:
        """Show a run until it has ended.

        Args:
            tally: counts the outcomes so far.
            sign: says whether the run should stop.
            ended: set when the run has ended.
            notes: on the images in progress.
        """
        next_look = time.monotonic() + _SECONDS_BETWEEN_LOOKS
        next_lines = time.monotonic() + self._seconds_between_lines
        printed: dict[TaskID, float] = {}
        while not ended.wait(_SECONDS_BETWEEN_UPDATES):
            self._update(tally, sign)
            if time.monotonic() >= next_look:
                next_look += _SECONDS_BETWEEN_LOOKS
                self._name_slow_images(notes)
            if self._console.is_interactive:
                self._bars.refresh()
            elif time.monotonic() >= next_lines:
                next_lines += self._seconds_between_lines
                for task in self._bars.tasks:
                    if printed.get(task.id) != task.completed:
                        printed[task.id] = task.completed
                        self._print(_line(task))
        # A stopped run may have ended since the last update.
        self._update(tally, sign)

    def _update(self, tally: Tally, sign: StopSign) -> None:
        """Update the bars, and say so once if the run is stopping."""
        for name, task in self._tasks.items():
            counts = tally.counts(name)
            self._bars.update(task, completed=counts.total(), failed=counts["failed"])
        if not self._is_stopping and (reason := sign.reason):
            self._is_stopping = True
            self._print(
                f"stylebeam: stopping once the images in progress are done: {reason}. Interrupt to"
                " stop at once."
            )

    def _name_slow_images(self, notes: Sequence[Notes]) -> None:
        """Name each image once that has been in progress for a while."""
        for note in (note for each in notes for note in each.read().values()):
            seconds = time.time() - note.started
            # Without a process, the image waits to be tried again.
            if note.process and seconds > _SECONDS_TO_NAME and note not in self._named:
                self._named.add(note)
                self._print(f"{note.input} has been in progress for {duration(seconds)}.")

    def _print(self, line: str) -> None:
        self._console.print(visible(line), markup=False, highlight=False, soft_wrap=True)


class _Bars(Progress):
    """One bar per batch."""

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
    """A column of text."""

    def __init__(self, text: Callable[[Task], str], style: str = "") -> None:
        super().__init__()
        self._text = text
        self._style = style

    def render(self, task: Task) -> Text:
        """Return the text for a batch."""
        return Text(self._text(task), style=self._style)


def _line(task: Task) -> str:
    """Return the progress of a batch as a line of text."""
    parts = [_done(task), _failures(task), _speed(task), _time_left(task)]
    return f"{task.description}: " + ", ".join(filter(None, parts))


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
