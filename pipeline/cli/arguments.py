"""The command line: parse the arguments, call the command, return the exit code."""

import argparse
import difflib
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from stylebeam.pipeline.cli import exit_codes
from stylebeam.pipeline.cli.parsers import run, styles, stylize, training
from stylebeam.pipeline.cli.parsers.common import Commands
from stylebeam.pipeline.runs.run_folder import RunFolder
from stylebeam.pipeline.terminal import complain, visible


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
        The arguments, with `command`, its name; `computes`, whether it computes networks;
        `own_options`, the options that the command itself has; and `beam_flags`, those of Beam.

    Raises:
        SystemExit: help or the version was asked for, or the arguments are wrong.
    """
    parser = _parser()
    args, unknown = parser.parse_known_args(arguments)
    for flag in unknown:
        suggestion = _own_option_like(flag.partition("=")[0], args.own_options)
        if suggestion or not args.takes_beam_flags:
            parser.error(f"stylebeam {args.command} has no argument {flag}{suggestion}")
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
        try:
            # Imported only now: torch and Beam take seconds to import, and help should not wait.
            from stylebeam.pipeline.cli.execution import execute  # noqa: PLC0415
        except (ImportError, OSError, MemoryError) as error:
            complain(f"a library cannot be loaded: {error or 'there is not enough memory'}")
            return exit_codes.FAILED
        return execute(args)
    except KeyboardInterrupt:
        complain("interrupted.")
        return exit_codes.FAILED


class _Parser(argparse.ArgumentParser):
    """A parser whose messages quote arguments, which a shell may have filled with file names."""

    def error(self, message: str) -> NoReturn:
        super().error(visible(message))


def _own_option_like(flag: str, own: Sequence[str]) -> str:
    """Return "; did you mean ...?" with an option of the command itself, or "" if none is meant.

    Options of Beam are known only to Beam, so only what is very similar counts.
    """
    if not flag.startswith("--"):
        return ""
    abbreviated = [each for each in own if len(flag) > 4 and each.startswith(flag)]
    found = abbreviated or difflib.get_close_matches(flag, own, n=1, cutoff=0.8)
    return f"; did you mean {found[0]}?" if found else ""


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
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
    # Its type holds the parser's own class, which is of no interest to those who add commands.
    commands: Commands = parser.add_subparsers(  # type: ignore[assignment]
        title="commands", metavar="COMMAND", required=True
    )
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
    for command in commands.choices.values():
        own = [name for name in command._option_string_actions if name.startswith("--")]
        command.set_defaults(own_options=own)
    return parser
