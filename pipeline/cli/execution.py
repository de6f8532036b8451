"""Calls a command, and turns its errors into messages and exit codes."""

import argparse
import io
import logging
import os
import sys

from stylebeam.pipeline.archive.lease import LeaseHeldError
from stylebeam.pipeline.cli import exit_codes
from stylebeam.pipeline.cli.commands import run, styles, stylize, training
from stylebeam.pipeline.config.file import ConfigError
from stylebeam.pipeline.methods.contract import MethodError
from stylebeam.pipeline.methods.pool import StylizationError
from stylebeam.pipeline.runs.run import RunFailedError
from stylebeam.pipeline.storage import StorageError
from stylebeam.pipeline.terminal import complain
from stylebeam.transforms.hardware.devices import DeviceUnavailableError
from stylebeam.transforms.hardware.precision import NonFiniteError
from stylebeam.transforms.images.formats import ImageError
from stylebeam.transforms.losses.vgg import WeightsUnavailableError
from stylebeam.transforms.training.loop_config import ConfigValueError, TrainingError

_COMMANDS = {
    "run": run.run,
    "validate": run.validate,
    "preview": run.preview,
    "sweep": run.sweep,
    "train": training.train,
    "train-any-style": training.train_any_style,
    "train-super-resolution": training.train_super_resolution,
    "evaluate": training.evaluate,
    "distill": training.distill,
    "styles": styles.styles,
    "schema": styles.schema,
    "stylize": stylize.stylize,
}
_USAGE_ERRORS = (
    ConfigError,
    MethodError,
    ConfigValueError,
    DeviceUnavailableError,
    WeightsUnavailableError,
)
_FAILURES = (
    RunFailedError,
    StylizationError,
    StorageError,
    TrainingError,
    ImageError,
    NonFiniteError,
    MemoryError,
    OSError,
)


def execute(args: argparse.Namespace) -> int:
    """Call the command that the arguments name, and return its exit code.

    Raises:
        KeyboardInterrupt: the command was interrupted.
    """
    # File names can contain bytes that are not text; print them escaped.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # until the end
    logging.basicConfig(level=logging.INFO if args.verbose else logging.CRITICAL, force=True)
    try:
        return _COMMANDS[args.command](args)
    except ConfigError as error:
        several = [f"{len(error.mistakes)} mistakes:"] if len(error.mistakes) > 1 else []
        complain(*several, *error.mistakes)
        return exit_codes.USAGE
    except _USAGE_ERRORS as error:
        complain(error)
        return exit_codes.USAGE
    except LeaseHeldError as error:
        complain(error)
        return exit_codes.LEASE_HELD
    except _FAILURES as error:
        complain(in_words(error))
        return exit_codes.FAILED


def in_words(error: BaseException) -> str:
    """Return an error as a sentence; errors of the system have Python's form otherwise."""
    if isinstance(error, MemoryError) and not str(error):
        return "There is not enough memory."
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror[0].lower() + error.strerror[1:]
        # The names of files that are read or written can be bytes or numbers, too.
        if error.filename is not None:
            return f"{os.fsdecode(str(error.filename))}: {reason}."
        return f"{reason[0].upper()}{reason[1:]}."
    return str(error) or type(error).__name__
