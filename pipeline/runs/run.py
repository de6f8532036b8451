"""A run: survey its inputs, build its pipeline, run it, and sum up what became of the images."""

import _thread
import contextlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType

import apache_beam as beam
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import ledger
from stylebeam.pipeline.archive.notes import Notes
from stylebeam.pipeline.archive.plan_files import (
    PlanWriter,
    delete_leftovers,
    read_plan,
    stem_in,
)
from stylebeam.pipeline.archive.records import Outcome, Status
from stylebeam.pipeline.archive.results import recover, renew_stamps, tidy
from stylebeam.pipeline.beam.in_progress import IN_PROGRESS
from stylebeam.pipeline.beam.model_handler import (
    METRICS_NAMESPACE,
    NETWORKS_LOADED,
    StylizeModelHandler,
)
from stylebeam.pipeline.beam.options import is_local, runner_of, worker_processes
from stylebeam.pipeline.beam.record_outcomes import RecordOutcomes
from stylebeam.pipeline.beam.steps import Limits, StylizeTasks, Watch
from stylebeam.pipeline.beam.stopping import StopSign, stopped_by_signals
from stylebeam.pipeline.beam.tally import Tally
from stylebeam.pipeline.config.run_config import RunOptions
from stylebeam.pipeline.runs import planning
from stylebeam.pipeline.runs.display import Display
from stylebeam.pipeline.runs.planning import BatchPlan, Counts, Item
from stylebeam.pipeline.runs.run_folder import RunFolder
from stylebeam.pipeline.runs.run_summary import BatchSummary, RunSummary, summarize

_WRONG_SHOWN = 10


class RunFailedError(Exception):
    """The pipeline as a whole did not finish; the message says why."""


class Run:
    """A run of planned batches; used in a `with`: first `survey`, then `execute`.

    Attributes:
        name: the run's name, which its records carry; known within the `with`.
    """

    def __init__(
        self,
        run_options: RunOptions,
        plans: Sequence[BatchPlan],
        beam_options: PipelineOptions,
        folder: RunFolder | None = None,
    ) -> None:
        """Prepare a run; nothing is listed or written yet.

        Args:
            run_options: the config's options of the run as a whole.
            plans: its batches.
            beam_options: the runner and its options.
            folder: the run's folder, if a supervisor continues the run when its process ends.
        """
        self._options = run_options
        self._plans = list(plans)
        self._beam_options = beam_options
        self._is_local = is_local(beam_options)
        self._is_supervised = folder is not None
        self._given_folder = folder
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> "Run":
        self._folder = self._given_folder or RunFolder(
            self._resources.enter_context(tempfile.TemporaryDirectory(prefix="stylebeam-"))
        )
        self._tally = Tally(self._folder.path)
        self.name = self._folder.name_of_run(ledger.new_name())
        self._plan_files = PlanWriter(self._plan_stem(), run=self.name)
        self._workers_need_plan = False
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A cluster goes on after Ctrl-C here; the next run deletes its plan.
        if not self._workers_need_plan:
            self._plan_files.delete()
        self._resources.close()

    def _plan_stem(self) -> str:
        """Return a stem for the files of the plan, which the workers can read."""
        if self._is_local or not self._plans:
            return os.path.join(self._folder.path, "plan")
        return stem_in(self._plans[0].batch.output)

    def stop(self, reason: str) -> None:
        """Have the workers on this machine start no more images."""
        StopSign(self._folder.sign).set(reason)

    def survey(
        self,
        also: Sequence[BatchPlan] = (),
        keep: Callable[[Item], None] = lambda _: None,
    ) -> Counts:
        """List the inputs, once each, and check that no two images meet.

        Args:
            also: batches that are checked with the others, but not run.
            keep: receives the images of those.

        Raises:
            ConfigError: two images would be written to one place, or one over an input.
            StorageError: an input or an output cannot be listed.
        """
        known = {(each.batch, each.input): each for each in self._tally.outcomes()}
        redone: Counter[tuple[str, Status]] = Counter()

        def sort(batch_plan: BatchPlan, item: Item) -> None:
            if any(batch_plan is each for each in also):
                keep(item)
                return
            # What an earlier process of this run did; its outputs are up to date by now.
            if outcome := known.get((item.batch, item.input)):
                if isinstance(item, Outcome):
                    redone[item.batch, item.status] += 1
                item = outcome
            self._plan_files.add(item)

        if self._plans and not self._is_local:
            delete_leftovers(self._plans[0].batch.output)
        counts = planning.survey([*also, *self._plans], sort)
        self._plan_files.close()
        for (name, status), count in redone.items():
            counts[name] += Counter({None: count})
            counts[name] -= Counter({status: count})
        ours = {each.batch.name for each in self._plans}
        self._counts = {name: found.total() for name, found in counts.items() if name in ours}
        self._images = sum(self._counts.values())
        return counts

    def execute(self, display: Display | None = None) -> RunSummary:
        """Run the pipeline on what was surveyed, and wait until it is done.

        Args:
            display: shows how far the run is, if its workers are on this machine.

        Raises:
            RunFailedError: the pipeline did not finish.
            StorageError: an output folder cannot be written to, or its record cannot be read.
        """
        _prepare_outputs(self._plans, self.name)
        outputs = planning.output_folders(self._plans)
        notes = [Notes.beside(each, storage.is_remote(each)) for each in set(outputs.values())]
        progress = self._folder.start([each.folder for each in notes], self._is_local)
        sign = StopSign(self._folder.sign, self._options.most_failures(self._images))
        sign.forget_failures()
        if self._is_supervised:
            IN_PROGRESS.end_process_if_stuck()
        try:
            runner = runner_of(self._beam_options, self._end_worker)
            pipeline = beam.Pipeline(runner, self._beam_options)
            self._build(pipeline, Watch(sign, self._tally))
            attended = (
                _attended(display, sign, self._tally, notes)
                if self._is_local
                else contextlib.nullcontext()
            )
            with attended:
                self._workers_need_plan = not self._is_local
                result = pipeline.run()
                state = result.wait_until_finish()
                self._workers_need_plan = False
        except Exception as error:  # Every runner raises exceptions of its own.
            raise RunFailedError(f"The run stopped: {_last_line(error)}") from error
        if state != PipelineState.DONE:
            raise RunFailedError(f"The run ended in the state {state}.")
        for each in notes:
            each.clear()
        seconds = time.time() - progress.started
        _renew_stamps(self._plans)
        batches = summarize(self._plans)
        self._check_counts(batches)
        stopped = None
        # A stop that came when all images were under way has stopped nothing.
        if any(batch.not_started for batch in batches):
            # Workers on other machines stop by themselves, only after too many failures.
            stopped = sign.reason or "too many images failed (max_failures)"
        return RunSummary(batches, seconds, _networks_loaded(result), stopped)

    def _end_worker(self, code: int) -> None:
        """End a supervised run whose worker process has ended, so that its supervisor continues it.

        Args:
            code: the process's exit code, or the negative number of the signal that ended it.
        """
        if self._is_supervised:
            self._folder.end_worker(code)
            os._exit(1)
        _thread.interrupt_main()

    def _check_counts(self, batches: Iterable[BatchSummary]) -> None:
        """Check that every image that was surveyed has one outcome.

        Raises:
            RunFailedError: the runner has lost images, or processed some twice.
        """
        if all(each.counts.total() == self._counts[each.name] for each in batches):
            return
        outcomes = Counter(
            (each.batch, each.input)
            for folder in set(planning.output_folders(self._plans).values())
            for each in ledger.read_outcomes(folder)
        )
        wrong = []
        for path in self._plan_files.paths:
            for item in read_plan(path):
                if (count := outcomes[item.batch, item.input]) != 1:
                    wrong.append(f"{item.input} ({count})")
        more = f", and {len(wrong) - _WRONG_SHOWN} more" if len(wrong) > _WRONG_SHOWN else ""
        raise RunFailedError(
            f"Not every image has exactly one outcome: {', '.join(wrong[:_WRONG_SHOWN])}{more}. The"
            " runner has lost images, or processed some"
            " twice. Run the same command again: images that are done are skipped."
        )

    def _build(self, pipeline: beam.Pipeline, watch: Watch) -> None:
        """Add the run's steps to a pipeline; its graph is small however large the archive is."""
        recipes = planning.recipes_of(self._plans)
        handler = StylizeModelHandler(
            recipes,
            self._options.device,
            self._options.max_pixels,
            self._options.memory_in_bytes,
            worker_processes(self._beam_options),
            self._images,
        )
        limits = Limits(
            self._options.max_pixels,
            self._options.storage_deadline,
            self._options.image_deadline,
            self._options.memory_in_bytes,
        )
        (
            pipeline
            | "PlanFiles" >> beam.Create(self._plan_files.paths)
            | "ReadPlan" >> beam.FlatMap(read_plan, limits.storage_deadline)
            | "StylizeTasks" >> StylizeTasks(recipes, handler, limits, watch)
            | "RecordOutcomes"
            >> RecordOutcomes(planning.output_folders(self._plans), limits.storage_deadline)
        )


@contextlib.contextmanager
def _attended(
    display: Display | None, sign: StopSign, tally: Tally, notes: Sequence[Notes]
) -> Iterator[None]:
    """Within a `with`, show a run and let signals stop it."""
    restore = display.restore_terminal if display else lambda: None
    shown = display.watching(tally, sign, notes) if display else contextlib.nullcontext()
    with stopped_by_signals(sign, restore), shown:
        yield


def _prepare_outputs(plans: Iterable[BatchPlan], name: str) -> None:
    """Record what will be written to the output folders, and clear what killed runs left there."""
    plans = list(plans)
    folders = planning.output_folders(plans)
    for folder in sorted(set(folders.values())):
        batches = [
            {
                **each.batch.model_dump(mode="json", exclude_none=True),
                "sections": [each.batch.method, *each.batch.options.also_uses],
                "weights": each.options.network_key,
                **each.listing.passed_over.as_json(),
            }
            for each in plans
            if folders[each.batch.name] == folder
        ]
        ledger.write_run(folder, batches, name)
        tidy(folder)
    for each in plans:
        recover(each.batch.output, each.listing.recovered)


def _renew_stamps(plans: Iterable[BatchPlan]) -> None:
    """Replace the stamps that hold absolute paths, so that the archive can be moved from now on."""
    for each in plans:
        if each.listing.old_stamps and each.batch.overwrite == "changed":
            outcomes = ledger.read_outcomes(each.batch.output)
            up_to_date = (
                outcome
                for outcome in outcomes
                if (outcome.batch, outcome.status, outcome.error)
                == (each.batch.name, "skipped", None)
            )
            renew_stamps(each.batch.output, up_to_date)


def _networks_loaded(result: PipelineResult) -> int | None:
    """Return the metric, or None from a runner that does not report it."""
    wanted = MetricsFilter().with_namespace(METRICS_NAMESPACE).with_name(NETWORKS_LOADED)
    try:
        counters = result.metrics().query(wanted)["counters"]
    except NotImplementedError:  # The results of some of Beam's runners have no metrics.
        return None
    return sum(counter.result or 0 for counter in counters)


def _last_line(error: Exception) -> str:
    """Return the last line of an error: runners put the worker's whole traceback before it."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
