"""The command `stylebeam`, also available as `python -m stylebeam`."""

import sys

from stylebeam.pipeline.beam.quiet import quiet_libraries
from stylebeam.pipeline.cli.arguments import call, parse
from stylebeam.transforms.hardware.memory import join_freed_blocks


def command() -> int:
    """Parse the arguments, set up the process, run the command, and return its exit code."""
    args = parse()
    if args.computes:
        join_freed_blocks()  # replaces the process, so before anything that takes long to import
    quiet_libraries()
    return call(args)


if __name__ == "__main__":
    sys.exit(command())
