"""The whole job of a config: load it, plan it, run it, and write the reports."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from apache_beam.options.pipeline_options import PipelineOptions

from stylebeam.pipeline.archive.lease import hold
from stylebeam.pipeline.beam.options import is_local, parse_beam_options
from stylebeam.pipeline.config.file import load_and_resolve
from stylebeam.pipeline.config.run_config import RunConfig
from stylebeam.pipeline.report import write_report
from stylebeam.pipeline.runs.display import Display
from stylebeam.pipeline.runs.planning import BatchPlan, Counts, output_folders, resolve
from stylebeam.pipeline.runs.run import Run
from stylebeam.pipeline.runs.run_folder import RunFolder
from stylebeam.pipeline.runs.run_summary import RunSummary
from stylebeam.pipeline.storage import StorageError
from stylebeam.transforms.hardware.devices import choose_device


@dataclass(frozen=True)
class Job:
    """A config that is ready to run.

    Attributes:
        config: the config.
        plans: its batches.
        beam_options: the runner and its options.
    """

    config: RunConfig
    plans: Sequence[BatchPlan]
    beam_options: PipelineOptions

    @classmethod
    def load(
        cls,
        path: str,
        settings: Sequence[str] = (),
        beam_flags: Sequence[str] = (),
        retry_failed: bool = False,
    ) -> "Job":
        """Read a config, and find the files that it names.

        Args:
            path: of the config, a path or URI.
            settings: overrides, each `key=value` with a dotted key.
            beam_flags: Beam's options, as on a command line.
            retry_failed: do only the images that failed in the last run.

        Raises:
            ConfigError: the config, a file that it names, an override or a flag is wrong; all
                mistakes at once.
            DeviceUnavailableError: the workers are on this machine, and it lacks their device.
        """
        beam_options = parse_beam_options(list(beam_flags))
        find = partial(resolve, retry_failed=retry_failed)
        config, plans = load_and_resolve(path, RunConfig, settings, find)
        if is_local(beam_options):
            choose_device(config.run.device)
        return cls(config, plans, beam_options)

    def run(
        self,
        announce: Callable[[Counts], Display | None] = lambda _: None,
        wait: Callable[[str], None] | None = None,
        run_folder: RunFolder | None = None,
    ) -> RunSummary:
        """Stylize the images, write the reports, and return what became of the images.

        The run holds the leases of its output folders: no other run writes there meanwhile.

        If only what failed is to be done and nothing failed, the record of the last run and its
        report stay as they are.

        Args:
            announce: receives how many images there are, before the first is started; returns what
                shows how far the run is. With a display, signals stop the run without loss.
            wait: receives a sentence for each run that is writing to an output folder, and that is
                waited for; None to not wait.
            run_folder: the run's folder, if a supervisor continues the run when its process ends.

        Raises:
            ConfigError: two images would be written to one place, or one over an input.
            LeaseHeldError: another run is writing to an output folder, and `wait` is None.
            LeaseLostError: another run has taken over an output folder, so this run was stopped.
            RunFailedError: the pipeline did not finish.
            StorageError: an input cannot be listed, or an output cannot be written. (If only a
                report cannot be written, the summary says so.)
        """
        folders = sorted(set(output_folders(self.plans).values()))
        with (
            Run(self.config.run, self.plans, self.beam_options, run_folder) as run,
            hold(folders, run.name, wait) as leases,
        ):
            leases.stop_on_loss(run.stop)
            display = announce(run.survey())
            if not any(each.has_work for each in self.plans):
                return RunSummary.of_nothing(self.plans)
            summary = run.execute(display)
            leases.check()
            unwritten = []
            for folder in folders:
                try:
                    write_report(folder, self.config.run.max_pixels)
                except StorageError as error:
                    unwritten.append(f"There is no report of this run in {folder}: {error}")
        return replace(summary, unwritten_reports=tuple(unwritten))


def run(
    config: str,
    settings: Sequence[str] = (),
    beam_flags: Sequence[str] = (),
    retry_failed: bool = False,
    wait: bool = False,
) -> RunSummary:
    """Run the batches of a config, as `stylebeam run` does, and return what became of them.

    Args:
        config: the path or URI of a YAML file.
        settings: overrides, such as `batches.holiday.fast.style=udnie`.
        beam_flags: Beam's options, such as `--direct_num_workers=2` or `--runner=DataflowRunner`.
        retry_failed: do only the images that failed in the last run.
        wait: if another run is writing to an output folder, wait for its end.

    Returns:
        The counts and the first failures of each batch; `failed` is the number of all failures.

    Raises:
        ConfigError: the config, a file that it names, an override or a flag is wrong; all mistakes
            at once.
        DeviceUnavailableError: the workers are on this machine, and it lacks their device.
        LeaseHeldError: another run is writing to an output folder, and `wait` is False.
        RunFailedError: the pipeline did not finish.
        StorageError: an input cannot be listed, or an output cannot be written.
    """
    job = Job.load(config, settings, beam_flags, retry_failed)
    return job.run(wait=(lambda text: None) if wait else None)
