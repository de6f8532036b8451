"""Run the command `stylebeam` in its own process."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any


def stylebeam(
    *arguments: str, before: Sequence[str] = (), **options: Any
) -> "subprocess.CompletedProcess[str]":
    """Run the command, and return its exit code and its output as text.

    Args:
        *arguments: the command and its arguments.
        before: a program that runs the command, and its arguments.
        **options: arguments of `subprocess.run`.
    """
    command = [*before, sys.executable, "-m", "stylebeam", *arguments]
    return subprocess.run(command, **{"capture_output": True, "text": True, **options}, check=False)
