"""The command `stylebeam`, also available as `python -m stylebeam`."""

import sys

from stylebeam.pipeline.beam.quiet import quiet_libraries
from stylebeam.pipeline.cli.arguments import main
from stylebeam.transforms.hardware.memory import join_freed_blocks


def command() -> int:
    """Set up the process, run the command, and return its exit code."""
    join_freed_blocks()
    quiet_libraries()
    return main()


if __name__ == "__main__":
    sys.exit(command())
