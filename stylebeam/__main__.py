"""The command `stylebeam`, also available as `python -m stylebeam`."""

import sys

from stylebeam.pipeline.beam.quiet import quiet_libraries
from stylebeam.pipeline.cli.arguments import call, parse
from stylebeam.pipeline.cli.supervisor import supervise
from stylebeam.transforms.hardware.memory import join_freed_blocks


def command() -> int:
    """Parse the arguments, set up the process, run the command, and return its exit code."""
    args = parse()
    if args.computes:
        join_freed_blocks()  # replaces the process, so before anything that takes long to import
    quiet_libraries()
    if not args.takes_beam_flags:
        return call(args)
    return supervise(lambda folder: call(args, folder))


if __name__ == "__main__":
    sys.exit(command())
