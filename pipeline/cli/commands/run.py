"""The commands that read the config of a run: `run`, `validate`, `preview` and `sweep`."""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from stylebeam.pipeline.archive import inputs
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
from stylebeam.pipeline.runs.planning import BatchPlan, Counts, Item, resolve, survey, total
from stylebeam.pipeline.runs.preview import preview_sheet
from stylebeam.pipeline.runs.run import Run, RunSummary
from stylebeam.pipeline.runs.sweep import load_sweep, write_sheets
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
        print(*plan_lines(job.plans, counts), *computing, sep="\n", file=messages, flush=True)
        return _display(counts)

    summary = job.run(announce)
    if args.json:
        print(to_json(summary))
    elif any(each.has_work for each in job.plans):
        print_summary(summary, Console())
        if not summary.unwritten_reports:
            print(*report_lines(summary), sep="\n")
    for mistake in summary.unwritten_reports:
        print(f"stylebeam: {mistake}", file=sys.stderr)
    return _exit_code(summary)


def validate(args: argparse.Namespace) -> int:
    """Check a config, and show what a run would do."""
    config, plans = load_and_resolve(args.config, RunConfig, args.set, resolve)
    refused = Refused()
    counts = survey(plans, refused.add)
    print(*plan_lines(plans, counts), *refused.lines(), sep="\n", flush=True)
    if not args.quick:
        for line in estimate_lines(estimate(config.run, plans, total(counts), _print_tried)):
            print(line)
    print("The config is valid.")
    return exit_codes.DONE


def preview(args: argparse.Namespace) -> int:
    """Write a contact sheet that shows what the photos of each batch will look like."""
    config, plans = load_and_resolve(args.config, RunConfig, args.set, resolve)
    photos = (photo for batch in config.batches for photo in inputs.list_images(batch.input))
    check_output(args.output, (photo.path for photo in photos))

    def tried(batch_plan: BatchPlan, few: Excerpts) -> None:
        _print_tried(batch_plan, few)
        if not few.to_do:
            print(f"{batch_plan.batch.name}: no photo is to be done, so none is shown.")

    sheet = preview_sheet(config.run, plans, tried)
    if sheet is None:
        print("stylebeam: no photo can be shown; no contact sheet is written.", file=sys.stderr)
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
    with Run(run_options, plans, beam_options) as cells_run:
        counts = dict(cells_run.survey([loaded.sheets], sheets.append))
        images = images_only(loaded.sheets, counts).total()
        del counts[batch.name]
        print(
            f"{batch.name}: {counted(images, 'image')} in {batch.input}, each stylized in"
            f" {len(plans)} ways"
        )
        for line in beside_images_lines(loaded.sheets.listing):
            print(line)
        if not images:
            print(no_images_line(batch.input))
            return exit_codes.DONE
        print(*_computation_lines(plans, device, total(counts)), sep="\n", flush=True)
        summary = cells_run.execute(_display(counts))
    print_summary(summary, Console())
    if not summary.stopped:
        write_sheets(loaded, sheets)
        print(f"The contact sheet of each image is in {batch.output}.")
    return _exit_code(summary)


def _print_tried(batch_plan: BatchPlan, few: Excerpts) -> None:
    for line in tried_lines(batch_plan.batch.name, few):
        print(line)


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
        print(
            f"stylebeam: stopped early: {summary.stopped}. Run the same command again to continue.",
            file=sys.stderr,
        )
        return exit_codes.FAILED
    if summary.unwritten_reports:
        return exit_codes.FAILED
    return exit_codes.SOME_FAILED if summary.failed else exit_codes.DONE
