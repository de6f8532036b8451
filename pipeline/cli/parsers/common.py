"""What the parsers of all commands share."""

import argparse

Commands = argparse._SubParsersAction  # The type that `add_subparsers` returns has no public name.


def add_command(
    commands: Commands,
    name: str,
    summary: str,
    description: str,
    *examples: str,
    computes: bool = True,
    takes_beam_flags: bool = False,
) -> argparse.ArgumentParser:
    """Add a command, and return its parser."""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog="\n  ".join(("examples:" if len(examples) > 1 else "example:", *examples)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument(
        "--verbose", action="store_true", help="show the log messages of libraries, such as Beam"
    )
    command.set_defaults(command=name, computes=computes, takes_beam_flags=takes_beam_flags)
    return command


def add_config(command: argparse.ArgumentParser, optional: bool = False) -> None:
    """Add the config, and overrides of its values."""
    command.add_argument(
        "config",
        metavar="CONFIG",
        nargs="?" if optional else None,
        help="the config: the path or URI of a YAML file",
    )
    add_set(command, "override a value of the config; nested keys are joined by dots")


def add_set(command: argparse.ArgumentParser, description: str) -> None:
    """Add `--set`, which can be repeated."""
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help=description
    )
