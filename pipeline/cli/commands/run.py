"""The commands that read the config of a run: `run`, `validate`, `preview` and `sweep`."""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from stylebeam.pipeline.archive import inputs
from stylebeam.pipeline.archive.lease import hold
from stylebeam.pipeline.beam.options import is_local, parse_beam_options
from stylebeam.pipeline.cli import exit_codes
from stylebeam.pipeline.cli.outputs import check_output, write_sheet
from stylebeam.pipeline.cli.summary import (
    Refused,
    beside_images_lines,
    estimate_lines,
    images_only,
    no_images_line,
    plan_lines,
    print_summary,
    record_lines,
    report_lines,
    to_json,
    tried_lines,
)
from stylebeam.pipeline.config.file import load_and_resolve
from stylebeam.pipeline.config.run_config import RunConfig
from stylebeam.pipeline.runs.display import Display
from stylebeam.pipeline.runs.estimate import estimate
from stylebeam.pipeline.runs.excerpts import Excerpts
from stylebeam.pipeline.runs.job import Job
from stylebeam.pipeline.runs.planning import (
    BatchPlan,
    Counts,
    Item,
    output_folders,
    resolve,
    survey,
    total,
)
from stylebeam.pipeline.runs.preview import preview_sheet
from stylebeam.pipeline.runs.run import Run
from stylebeam.pipeline.runs.run_summary import RunSummary
from stylebeam.pipeline.runs.sweep import load_sweep, write_sheets
from stylebeam.pipeline.terminal import complain, say
from stylebeam.pipeline.wording import counted
from stylebeam.transforms.hardware.devices import DeviceName, choose_device


def run(args: argparse.Namespace) -> int:
    """Stylize the batches of a config."""
    # With --json, standard output contains nothing else.
    messages = sys.stderr if args.json else sys.stdout
    job = Job.load(args.config, args.set, args.beam_flags, args.retry_failed)

    def announce(counts: Counts) -> Display:
        device = job.config.run.device if is_local(job.beam_options) else None
        plans = [each for each in job.plans if each.has_work]
        computing = _computation_lines(plans, device, total(counts)) if plans else []
        if not _continues(args):
            say(*plan_lines(job.plans, counts), *computing, file=messages)
        return _display(counts)

    summary = job.run(announce, complain if args.wait else None, args.run_folder)
    if args.json:
        say(to_json(summary))
    elif any(each.has_work for each in job.plans):
        print_summary(summary, Console())
        if not summary.unwritten_reports:
            say(*report_lines(summary))
    if summary.unwritten_reports:
        complain(*summary.unwritten_reports)
    return _exit_code(summary)


def validate(args: argparse.Namespace) -> int:
    """Check a config, and show what a run would do."""
    config, plans = load_and_resolve(args.config, RunConfig, args.set, resolve)
    refused = Refused()
    counts = survey(plans, refused.add)
    say(*plan_lines(plans, counts), *refused.lines())
    if not args.quick:
        say(*estimate_lines(estimate(config.run, plans, total(counts), _print_tried)))
    say("The config is valid.")
    return exit_codes.DONE


def preview(args: argparse.Namespace) -> int:
    """Write a contact sheet that shows what the photos of each batch will look like."""
    config, plans = load_and_resolve(args.config, RunConfig, args.set, resolve)
    photos = (photo for batch in config.batches for photo in inputs.list_images(batch.input))
    check_output(args.output, (photo.path for photo in photos))

    def tried(batch_plan: BatchPlan, few: Excerpts) -> None:
        _print_tried(batch_plan, few)
        if not few.to_do:
            say(f"{batch_plan.batch.name}: no photo is to be done, so none is shown.")

    sheet = preview_sheet(config.run, plans, tried)
    if sheet is None:
        complain("no photo can be shown; no contact sheet is written.")
        return exit_codes.FAILED
    write_sheet(sheet, args.output)
    return exit_codes.DONE


def sweep(args: argparse.Namespace) -> int:
    """Compare values of options: write a contact sheet for each photo."""
    beam_options = parse_beam_options(args.beam_flags)
    loaded = load_sweep(args.config, args.set)
    run_options = loaded.config.run
    device = run_options.device if is_local(beam_options) else None
    if device:
        choose_device(device)
    plans = [cell for row in loaded.cells for cell in row]
    batch = loaded.sheets.batch
    sheets: list[Item] = []
    folders = output_folders([loaded.sheets]).values()
    with (
        Run(run_options, plans, beam_options, args.run_folder) as cells_run,
        hold(folders, cells_run.name) as leases,
    ):
        leases.stop_on_loss(cells_run.stop)
        counts = dict(cells_run.survey([loaded.sheets], sheets.append))
        images = images_only(loaded.sheets, counts).total()
        del counts[batch.name]
        say(
            f"{batch.name}: {counted(images, 'image')} in {batch.input}, each stylized in"
            f" {len(plans)} ways",
            *beside_images_lines(loaded.sheets.listing),
            *record_lines(plans),
        )
        if not images:
            say(no_images_line(batch.input))
            return exit_codes.DONE
        say(*_computation_lines(plans, device, total(counts)))
        summary = cells_run.execute(_display(counts))
        leases.check()
        print_summary(summary, Console())
        if not summary.stopped:
            write_sheets(loaded, sheets)
            say(f"The contact sheet of each image is in {batch.output}.")
    return _exit_code(summary)


def _continues(args: argparse.Namespace) -> bool:
    """Whether an earlier process of the same command has announced the run."""
    return args.run_folder is not None and args.run_folder.progress() is not None


def _print_tried(batch_plan: BatchPlan, few: Excerpts) -> None:
    say(*tried_lines(batch_plan.batch.name, few))


def _display(counts: Counts) -> Display:
    to_do = {name: found[None] for name, found in counts.items()}
    return Display(to_do, Console(stderr=True))


def _computation_lines(
    plans: Sequence[BatchPlan], device: DeviceName | None, images: int
) -> list[str]:
    """Return lines that say what computes the images of a run, and in which precision.

    Args:
        plans: the batches.
        device: the device; None if the workers are on other machines.
        images: how many images the run has.
    """
    if device is None:
        return ["The workers are on other machines; their progress is shown by the runner."]
    chosen = choose_device(device)
    lines = (line for each in plans for line in each.options.computation(chosen, images))
    return list(dict.fromkeys(lines))


def _exit_code(summary: RunSummary) -> int:
    """Return the exit code of a run, and print a message if it was stopped."""
    if summary.stopped:
        complain(f"stopped early: {summary.stopped}. Run the same command again to continue.")
        return exit_codes.FAILED
    if summary.unwritten_reports:
        return exit_codes.FAILED
    return exit_codes.SOME_FAILED if summary.failed else exit_codes.DONE
