"""The command line: parse the arguments, call the command, return the exit code."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

from stylebeam.pipeline.cli.parsers import run, styles, stylize, training
from stylebeam.pipeline.runs.run_folder import RunFolder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit code.

    Args:
        arguments: the words after `stylebeam`; by default those of this process.

    Returns:
        0: everything is done. 1: the run failed. 2: the command or the config is wrong. 3: the run
        finished, and some images failed.
    """
    return call(parse(arguments))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the arguments of a command.

    Args:
        arguments: the words after `stylebeam`; by default those of this process.

    Returns:
        The arguments, with `command`, its name; `computes`, whether it computes networks; and
        `beam_flags`, the options of Beam.

    Raises:
        SystemExit: help or the version was asked for, or the arguments are wrong.
    """
    parser = _parser()
    args, unknown = parser.parse_known_args(arguments)
    if unknown and not args.takes_beam_flags:
        parser.error(f"stylebeam {args.command} has no argument {unknown[0]}")
    args.beam_flags = unknown
    return args


def call(args: argparse.Namespace, run_folder: RunFolder | None = None) -> int:
    """Call a command, and return its exit code.

    Args:
        args: what `parse` returned.
        run_folder: the folder of a supervised run; None if it has no supervisor.
    """
    args.run_folder = run_folder
    try:
        # Imported only now, since torch and Beam take seconds to import, and help should not wait.
        from stylebeam.pipeline.cli.execution import execute  # noqa: PLC0415

        return execute(args)
    except KeyboardInterrupt:
        print("stylebeam: interrupted.", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stylebeam",
        description="Stylize photos with neural networks: one photo, or archives of millions.",
        epilog="""\
Start with: stylebeam run configs/samples.yaml
Help for a command: stylebeam COMMAND --help

exit codes:
  0  everything is done
  1  the run failed
  2  the command or the config is wrong
  3  some images failed
  4  another run is writing to an output folder""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"stylebeam {version('stylebeam')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        run.add_run,
        run.add_validate,
        run.add_preview,
        run.add_sweep,
        stylize.add_stylize,
        styles.add_styles,
        training.add_train,
        training.add_train_any_style,
        training.add_train_super_resolution,
        training.add_evaluate,
        training.add_distill,
        styles.add_schema,
    ):
        add(commands)
    return parser
