"""The command `stylebeam`, which `python -m stylebeam` is too."""

import sys

from stylebeam.pipeline.cli.arguments import main
from stylebeam.transforms.hardware.memory import join_freed_blocks


def command() -> int:
    """Run the command in a process that is sparing of memory, and return its exit code."""
    join_freed_blocks()
    return main()


if __name__ == "__main__":
    sys.exit(command())
