"""Runs `stylebeam run` with slow storage, or with the time of its display measured."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stylebeam.pipeline.beam import steps
from stylebeam.pipeline.beam.tally import Tally
from stylebeam.pipeline.cli.arguments import main as stylebeam
from stylebeam.pipeline.runs.display import Display

Function = Callable[..., Any]


def slow_down_storage(seconds: float) -> None:
    """Make each read and write of an image take some seconds longer."""

    def slow(function: Function) -> Function:
        def call(*args: Any, **options: Any) -> Any:
            time.sleep(seconds)
            return function(*args, **options)

        return call

    steps.storage.read = slow(steps.storage.read)
    steps.write_result = slow(steps.write_result)


def measure_display() -> list[float]:
    """Return a list to which the CPU time of the display is added, in seconds, during a run."""
    seconds: list[float] = []

    def timed(function: Function) -> Function:
        def call(*args: Any) -> Any:
            started = time.thread_time()
            try:
                return function(*args)
            finally:
                seconds.append(time.thread_time() - started)

        return call

    Tally.add = timed(Tally.add)
    Display.watch = timed(Display.watch)
    return seconds


def main() -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds per read and write")
    parser.add_argument("--display", type=Path, help="file for the CPU time of the display")
    args = parser.parse_args()
    if args.latency:
        slow_down_storage(args.latency)
    seconds = measure_display() if args.display else []
    status = stylebeam(["run", args.config])
    if args.display:
        args.display.write_text(str(sum(seconds)))
    return status


if __name__ == "__main__":
    sys.exit(main())
