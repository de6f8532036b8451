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
    logging.basicConfig(level=logging.INFO if args.verbose else logging.CRITICAL, force=True)
    try:
        code = _COMMANDS[args.command](args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Nobody reads the output anymore. Python flushes it again at exit, which must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.FAILED
    except _USAGE_ERRORS as error:
        print(f"stylebeam: {error}", file=sys.stderr)
        return exit_codes.USAGE
    except LeaseHeldError as error:
        print(f"stylebeam: {error}", file=sys.stderr)
        return exit_codes.LEASE_HELD
    except _FAILURES as error:
        print(f"stylebeam: {error}", file=sys.stderr)
        return exit_codes.FAILED
