"""Beam's own options, as they follow `stylebeam run`."""

import os
from collections.abc import Iterator

from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.runners.runner import create_runner

from pipeline.config_file import ConfigError
from pipeline.suggestions import nearest

# The DirectRunner would first try to download another engine.
_LOCAL_RUNNER = "FnApiRunner"
# Beside a thread for each core, which stylise, so many read and write: a bucket's latency then
# costs nothing.
_MORE_THREADS = 2


def parse_beam_options(flags: list[str], verbose: bool = False) -> PipelineOptions:
    """Return Beam's options from command-line flags, with the FnApiRunner unless one is named.

    Args:
        flags: of the command line.
        verbose: whether worker processes on this machine log what they do.

    Raises:
        ConfigError: there is no such runner, or a flag is unknown. (Of a remote runner only that
            runner knows all flags.)
    """
    options = PipelineOptions(flags)
    standard = options.view_as(StandardOptions)
    standard.runner = standard.runner or _LOCAL_RUNNER
    try:
        create_runner(standard.runner)
    except (ValueError, ImportError, AttributeError) as error:
        raise ConfigError([f"--runner={standard.runner}: {error}"]) from error
    if is_local(options):
        if mistakes := list(_mistakes(options, flags)):
            raise ConfigError(mistakes)
        _fill_in(options, verbose)
    return options


def _mistakes(options: PipelineOptions, flags: list[str]) -> Iterator[str]:
    """Yield what is wrong with the flags of a run on this machine."""
    known = {f"--{name}" for name in options.get_all_options()}
    given = {f"--{name}" for name in options.get_all_options(retain_unknown_options=True)}
    for name in sorted(given - known):
        yield f"there is no option {name}{nearest(name, known)}"
    for before, flag in zip(["", *flags], flags, strict=False):
        if not flag.startswith("-") and (not before.startswith("--") or "=" in before):
            yield f"{flag} is one word too many"
    if (options.view_as(DirectOptions).direct_num_workers or 0) < 0:
        yield "--direct_num_workers must be at least 0 (which takes all cores)"


def _fill_in(options: PipelineOptions, verbose: bool) -> None:
    """Set what the flags of a run on this machine leave open."""
    direct, worker = options.view_as(DirectOptions), options.view_as(WorkerOptions)
    given = options.get_all_options(drop_default=True)
    if direct.direct_running_mode != "multi_processing" and "direct_num_workers" not in given:
        direct.direct_num_workers = (os.cpu_count() or 1) + _MORE_THREADS
    if not verbose and worker.default_sdk_harness_log_level is None:
        worker.default_sdk_harness_log_level = "CRITICAL"


def is_local(options: PipelineOptions) -> bool:
    """Whether the run's workers are on this machine."""
    return options.view_as(StandardOptions).runner in StandardOptions.LOCAL_RUNNERS


def worker_processes(options: PipelineOptions) -> int:
    """Return how many worker processes a run has on this machine."""
    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode != "multi_processing":
        return 1
    return direct.direct_num_workers or os.cpu_count() or 1
