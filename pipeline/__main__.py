"""The command `stylebeam`, which `python -m pipeline` is too."""

import sys

from pipeline.cli import main
from transforms.memory import join_freed_blocks


def command() -> int:
    """Run the command in a process that is sparing of memory, and return its exit code."""
    join_freed_blocks()
    return main()


if __name__ == "__main__":
    sys.exit(command())
