"""Beam's pipeline options, given as flags to `stylebeam run`."""

import os
import re
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
)
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner, RunnerResult
from apache_beam.runners.runner import PipelineRunner, create_runner

from stylebeam.pipeline.config.file import ConfigError
from stylebeam.pipeline.suggestions import nearest

# The DirectRunner would first try to download Prism, another runner.
_LOCAL_RUNNER = "FnApiRunner"
# Threads in addition to one per core. While some threads compute, others read and write, which
# hides the latency of remote storage.
_EXTRA_THREADS = 2


_WORKER_ENDED = re.compile(r"^Worker subprocess exited with return code (-?\d+)$")


class LocalRunner(FnApiRunner):
    """Beam's FnApiRunner with `worker.py` as its worker processes, whose ends are noticed."""

    def __init__(self, on_worker_end: Callable[[int], None]) -> None:
        """Make the runner.

        Args:
            on_worker_end: receives the exit code of a worker process that has ended before its
                time, or the negative number of the signal that ended it.
        """
        super().__init__()
        self._on_worker_end = on_worker_end

    def run_via_runner_api(
        self, pipeline_proto: beam_runner_api_pb2.Pipeline, options: PipelineOptions
    ) -> RunnerResult:
        """Run a pipeline."""
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == python_urns.SUBPROCESS_SDK:
                environment.payload = (
                    f"exec {shlex.quote(sys.executable)} -m stylebeam.pipeline.beam.worker".encode()
                )
        before = threading.excepthook
        threading.excepthook = partial(self._look_for_worker, before)
        try:
            return super().run_via_runner_api(pipeline_proto, options)
        finally:
            threading.excepthook = before

    def _look_for_worker(
        self, otherwise: Callable[[threading.ExceptHookArgs], Any], raised: threading.ExceptHookArgs
    ) -> None:
        """Look whether an error that ended a thread says that a worker process has ended.

        Beam raises it in a thread that only waits for the process, and would wait for ever.
        """
        if code := _WORKER_ENDED.search(str(raised.exc_value)):
            self._on_worker_end(int(code[1]))
        # The threads that talk to such a process fail too, and their tracebacks tell nobody why.
        elif not isinstance(raised.exc_value, grpc.RpcError):
            otherwise(raised)


def parse_beam_options(flags: list[str]) -> PipelineOptions:
    """Parse command-line flags into Beam's options, with the FnApiRunner as the default runner.

    Raises:
        ConfigError: the runner does not exist, or a flag of a run on this machine is unknown. (Only
            a remote runner itself knows all its flags.)
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
        _set_defaults(options)
    return options


def _mistakes(options: PipelineOptions, flags: list[str]) -> Iterator[str]:
    """Yield the mistakes in the flags of a run on this machine."""
    known = {f"--{name}" for name in options.get_all_options()}
    given = {f"--{name}" for name in options.get_all_options(retain_unknown_options=True)}
    for name in sorted(given - known):
        yield f"there is no option {name}{nearest(name, known)}"
    for before, flag in zip(["", *flags], flags, strict=False):
        if not flag.startswith("-") and (not before.startswith("--") or "=" in before):
            yield f"{flag} is an unexpected argument"
    if (options.view_as(DirectOptions).direct_num_workers or 0) < 0:
        yield "--direct_num_workers must be at least 0 (0 uses all cores)"


def _set_defaults(options: PipelineOptions) -> None:
    """Set the options of a run on this machine that the flags do not set."""
    direct = options.view_as(DirectOptions)
    given = options.get_all_options(drop_default=True)
    if direct.direct_running_mode != "multi_processing" and "direct_num_workers" not in given:
        direct.direct_num_workers = (os.cpu_count() or 1) + _EXTRA_THREADS


def runner_of(
    options: PipelineOptions, on_worker_end: Callable[[int], None] = lambda code: None
) -> PipelineRunner:
    """Return the runner that the options name.

    Args:
        options: the options.
        on_worker_end: as `LocalRunner` takes it.
    """
    name = options.view_as(StandardOptions).runner
    return LocalRunner(on_worker_end) if name == _LOCAL_RUNNER else create_runner(name)


def is_local(options: PipelineOptions) -> bool:
    """Whether the run's workers are on this machine."""
    return options.view_as(StandardOptions).runner in StandardOptions.LOCAL_RUNNERS


def worker_processes(options: PipelineOptions) -> int:
    """Return the number of worker processes of a run on this machine."""
    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode != "multi_processing":
        return 1
    return direct.direct_num_workers or os.cpu_count() or 1
