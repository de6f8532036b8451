"""What each command does, given its parsed arguments; each returns its exit code."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from apache_beam.options.pipeline_options import PipelineOptions
from PIL import Image
from rich.console import Console
from torchvision.transforms.v2.functional import pil_to_tensor

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import inputs
from stylebeam.pipeline.archive.records import Status
from stylebeam.pipeline.beam.options import is_local, parse_beam_options
from stylebeam.pipeline.cli.summary import (
    estimate_lines,
    no_images_line,
    plan_lines,
    print_summary,
    report_lines,
    to_json,
)
from stylebeam.pipeline.config.file import ConfigError, load_config
from stylebeam.pipeline.config.run_config import RunConfig
from stylebeam.pipeline.config.schema import schema as schema_of
from stylebeam.pipeline.methods.options import GatysOptions
from stylebeam.pipeline.methods.paintings import load_gatys_stylizer
from stylebeam.pipeline.methods.styles import choose, read_checkpoint
from stylebeam.pipeline.report import write_report
from stylebeam.pipeline.runs.display import Display
from stylebeam.pipeline.runs.estimate import estimate
from stylebeam.pipeline.runs.planning import BatchPlan, output_folders, plan, survey
from stylebeam.pipeline.runs.preview import preview_sheet, sample_photographs, styles_sheet
from stylebeam.pipeline.runs.run import RunSummary, run_pipeline
from stylebeam.pipeline.runs.sweep import load_cells, write_sheets
from stylebeam.transforms.backends import describe_backend, is_worth_compiling
from stylebeam.transforms.checkpoints import parse_checkpoint, shipped_checkpoints
from stylebeam.transforms.distillation.distill import DistillationConfig
from stylebeam.transforms.distillation.distill import distill as distill_network
from stylebeam.transforms.evaluation.evaluate import EvaluationRecipe
from stylebeam.transforms.evaluation.evaluate import evaluate as evaluate_checkpoints
from stylebeam.transforms.gatys.stylizer import Stylize
from stylebeam.transforms.hardware.devices import (
    choose_device,
    device_memory,
    fast_gradient_precision,
    fast_precision,
)
from stylebeam.transforms.images.io import FORMAT_OF_EXTENSION, ImageFormat, Photo, decode, encode
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer
from stylebeam.transforms.training.style import train as train_network
from stylebeam.transforms.training.style_config import StyleTrainingConfig
from stylebeam.transforms.training.super_resolution import SuperResolutionTrainingConfig
from stylebeam.transforms.training.super_resolution import (
    train_super_resolution as train_super_resolution_network,
)

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_SOME_FAILED = range(4)


def run(args: argparse.Namespace) -> int:
    """Stylise the batches of a config."""
    options = parse_beam_options(args.beam_flags)
    config = load_config(args.config, RunConfig, args.set)
    _check_device(config, options)
    # Standard output is for the result alone, if that is for a program.
    words = sys.stderr if args.json else sys.stdout
    plans = plan(config, args.retry_failed)
    counts = survey(plans)
    computing = _what_computes(config, options, _count(counts))
    print(*plan_lines(plans, counts), computing, sep="\n", file=words, flush=True)
    summary = _run(config, plans, counts, options)
    for folder in sorted(set(output_folders(plans).values())):
        write_report(folder, config.run.max_pixels)
    if args.json:
        print(to_json(summary))
    else:
        print_summary(summary, Console())
        print(*report_lines(summary), sep="\n")
    return _exit_code(summary)


def validate(args: argparse.Namespace) -> int:
    """Check a config and say what a run would do."""
    config = load_config(args.config, RunConfig, args.set)
    plans = plan(config)
    counts = survey(plans)
    print(*plan_lines(plans, counts), sep="\n", flush=True)
    if not args.quick:
        for line in estimate_lines(estimate(config.run, plans, _count(counts))):
            print(line)
    print("The config is valid.")
    return EXIT_DONE


def preview(args: argparse.Namespace) -> int:
    """Show what photos of a config's batches become, in a contact sheet."""
    config = load_config(args.config, RunConfig, args.set)
    plans = plan(config)
    photos = (photo for batch in config.batches for photo in inputs.list_images(batch.input))
    _check_output(args.output, (photo.path for photo in photos))
    _write_sheet(preview_sheet(config.run, plans), args.output)
    return EXIT_DONE


def sweep(args: argparse.Namespace) -> int:
    """Stylise photos with every combination of two keys' values, in a contact sheet each."""
    options = parse_beam_options(args.beam_flags)
    config, cells = load_cells(args.config, args.set)
    _check_device(config, options)
    batches = tuple(batch for row in cells for batch in row)
    plans = plan(RunConfig(batches=batches, run=config.run))
    batch = config.sheets
    sheets = replace(plans[0], batch=batch)
    counts = survey([sheets, *plans])
    count = counts.pop(batch.name).total()
    print(f"{batch.name}: {count} images in {batch.input}, each in {len(plans)} cells")
    if not count:
        print(no_images_line(batch.input))
        return EXIT_DONE
    print(_what_computes(config, options, _count(counts)), flush=True)
    work = list(sheets.work())
    summary = _run(config, plans, counts, options)
    print_summary(summary, Console())
    if not summary.stopped:
        write_sheets(config, cells, work)
        print(f"The contact sheet of each image is in {batch.output}.")
    return _exit_code(summary)


def train(args: argparse.Namespace) -> int:
    """Train a style network."""
    settings = [
        f"{key}={json.dumps(value)}"
        for key in ("style_image", "style_images", "content_images", "add_to", "output", "minutes")
        if (value := getattr(args, key)) is not None
    ]
    recipe = load_config(args.config, StyleTrainingConfig, [*args.set, *settings])
    checkpoint = train_network(recipe, _say, inputs.stored_images)
    use = f"style: {recipe.output}"
    if len(checkpoint.styles) > 1:
        use = f"checkpoint: {recipe.output}, style: {list(checkpoint.styles)[-1]}"
    print(f"The checkpoint is in {recipe.output}. Use it as fast: {{{use}}}.")
    return EXIT_DONE


def train_super_resolution(args: argparse.Namespace) -> int:
    """Train a super-resolution network."""
    recipe = load_config(args.config, SuperResolutionTrainingConfig, args.set)
    train_super_resolution_network(recipe, _say, inputs.stored_images)
    print(
        f"The checkpoint is in {recipe.output}. Use it with method: super_resolution, as"
        f" super_resolution: {{checkpoint: {recipe.output}}}."
    )
    return EXIT_DONE


def evaluate(args: argparse.Namespace) -> int:
    """Measure what checkpoints make of photographs."""
    recipe = load_config(args.config, EvaluationRecipe, args.set)
    print(evaluate_checkpoints(recipe, report=_say))
    print(f"The table is in {recipe.output / 'table.md'}, pictures are in grid.png beside it.")
    return EXIT_DONE


def distill(args: argparse.Namespace) -> int:
    """Train an embedded loss network."""
    recipe = load_config(args.config, DistillationConfig, args.set)
    unexplained = distill_network(recipe, report=_say)
    print(f"The loss network is in {recipe.output}. Unexplained variance of held-out images:")
    for kind, layers in unexplained.items():
        print(f"  {kind}: " + ", ".join(f"{layer} {part:.1%}" for layer, part in layers.items()))
    return EXIT_DONE


def styles(args: argparse.Namespace) -> int:
    """List the styles, and the networks for super-resolution, that are shipped."""
    if args.sheet:
        _check_output(args.sheet, [args.photo] if args.photo else [])
        photos = [decode(storage.read(args.photo)).pixels] if args.photo else sample_photographs()
        _write_sheet(styles_sheet(photos, choose_device("auto")), args.sheet)
        return EXIT_DONE
    for path in shipped_checkpoints():
        checkpoint = parse_checkpoint(path.read_bytes())
        of_network = f"{checkpoint.network}, {path.stat().st_size / 1e6:.1f} MB"
        for name, style in checkpoint.styles.items():
            recipe = style.training
            print(
                f"{name}: {of_network}; {_trained(recipe)} on {recipe['style_image']} at"
                f" {recipe['style_size']} px, {recipe['loss_network']}"
            )
        if not checkpoint.styles:
            of_features = any(checkpoint.training["feature_weights"].values())
            loss = "feature loss" if of_features else "pixel loss"
            print(f"{path.stem}: {of_network}; {_trained(checkpoint.training)}, {loss}")
    return EXIT_DONE


def schema(args: argparse.Namespace) -> int:
    """Print the JSON Schema of a kind of config."""
    print(json.dumps(schema_of(args.kind), indent=2))
    return EXIT_DONE


def _trained(recipe: Mapping[str, Any]) -> str:
    crops = "1 crop" if recipe["batch_size"] == 1 else f"{recipe['batch_size']} crops"
    start = f" after those of {Path(recipe['start']).stem}" if recipe.get("start") else ""
    return f"{recipe['iterations']} iterations of {crops} of {recipe['crop_size']} px{start}"


def stylize(args: argparse.Namespace) -> int:
    """Stylise one image."""
    if args.output != "-":
        if args.format is not None:
            raise ConfigError(["--format is for OUT -; a file's format goes by its name"])
        _check_output(args.output, [args.input])
    effect = _optimisation(args) if args.style_image else _fast_stylization(args)
    data = sys.stdin.buffer.read() if args.input == "-" else storage.read(args.input)
    photo = decode(data, args.max_pixels)
    stylized = photo.with_pixels(effect(photo.pixels))
    image_format = args.format or _format_of(args.output) or "png"
    encoded = encode(stylized, image_format, args.quality)
    if args.output == "-":
        sys.stdout.buffer.write(encoded)
    else:
        storage.write(args.output, encoded, f"image/{image_format}")
    return EXIT_DONE


def _fast_stylization(args: argparse.Namespace) -> Stylize:
    """Return what stylises by the fast network that the arguments name."""
    if not args.style:
        raise ConfigError(["stylize needs --style, or --style-image for a painting"])
    if args.set and not args.style_image:
        raise ConfigError(["--set is of the optimisation's options; it needs --style-image"])
    choice = choose(dict(args.style), args.checkpoint)
    checkpoint, _ = read_checkpoint(choice.checkpoint)
    device = choose_device(args.device)
    stylizer = FeedForwardStylizer(checkpoint, device, memory=device_memory(device) // 2)
    return partial(
        stylizer.stylize,
        strength=args.strength,
        styles=dict(choice.styles),
        processing_size=args.processing_size,
    )


def _optimisation(args: argparse.Namespace) -> Stylize:
    """Return what optimises towards the painting that the arguments name."""
    settings = [f"style_image={json.dumps(args.style_image)}", *args.set]
    options = load_config(None, GatysOptions, settings)
    if options.init == "fast" and not args.style:
        raise ConfigError(["init: fast needs --style, the style to begin with"])
    if options.init != "fast" and args.style:
        raise ConfigError(["--style goes with --style-image only for --set init=fast"])
    fast = _fast_stylization(args) if options.init == "fast" else None
    stylizer = load_gatys_stylizer(options.choose(None), choose_device(args.device), fast)
    return lambda pixels: stylizer.stylize([pixels])[0]


def _format_of(path: str) -> ImageFormat | None:
    return FORMAT_OF_EXTENSION.get(Path(path).suffix.lower())


def _check_output(output: str, photos: Iterable[str]) -> None:
    """Refuse an output that is no image by its name, or one of the inputs."""
    if _format_of(output) is None:
        extensions = ", ".join(FORMAT_OF_EXTENSION)
        raise ConfigError([f"{output}: the name must end in one of {extensions}"])
    place = storage.place_of(output)
    for photo in photos:
        if place in (storage.place_of(photo), storage.real_path(photo)):
            raise ConfigError([f"{output} is the input, which is never overwritten"])


def _write_sheet(sheet: Image.Image, output: str) -> None:
    """Write a contact sheet in the format of its name."""
    image_format = _format_of(output) or "png"
    photo = Photo(pil_to_tensor(sheet))
    storage.write(output, encode(photo, image_format), f"image/{image_format}")
    print(f"The contact sheet is in {output}.")


def _run(
    config: RunConfig,
    plans: list[BatchPlan],
    counts: Mapping[str, Counter[Status | None]],
    options: PipelineOptions,
) -> RunSummary:
    """Run a planned config, and show how far it is."""
    to_do = {name: found[None] for name, found in counts.items()}
    display = Display(to_do, Console(stderr=True))
    return run_pipeline(config.run, plans, _count(counts), options, display)


def _count(counts: Mapping[str, Counter[Status | None]]) -> int:
    """Return how many images a run has, those that are done included."""
    return sum(found.total() for found in counts.values())


def _check_device(config: RunConfig, options: PipelineOptions) -> None:
    """See whether a run's workers, if they are on this machine, have the device they are to use.

    Raises:
        DeviceUnavailableError: they have not.
    """
    if is_local(options):
        choose_device(config.run.device)


def _what_computes(config: RunConfig, options: PipelineOptions, images: int) -> str:
    """Say where so many images of a run are stylised, and by what."""
    if not is_local(options):
        return "The run's workers are on other machines; its runner says how far they are."
    device = choose_device(config.run.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"

    def sentence(what: str, software: str, precision: torch.dtype) -> str:
        return f"{what} on {name} by {software} in {str(precision).removeprefix('torch.')}."

    optimised = [each.options for each in config.batches if isinstance(each.options, GatysOptions)]
    lines = []
    if len(optimised) < len(config.batches) or any(each.init == "fast" for each in optimised):
        backend, precision = describe_backend(device), fast_precision(device)
        lines.append(sentence("Fast networks are computed", backend, precision))
        if is_worth_compiling(device, images):
            lines[-1] += " They are compiled first, which takes a minute or so."
    if optimised:
        precision = fast_gradient_precision(device)
        lines.append(sentence("Photos are optimised", f"torch {torch.__version__}", precision))
    return "\n".join(lines)


def _exit_code(summary: RunSummary) -> int:
    """Return the exit code of a run, and say if it was stopped."""
    if summary.stopped:
        print(
            f"stylebeam: stopped before the end: {summary.stopped}. The same command goes on where"
            " this run ended.",
            file=sys.stderr,
        )
        return EXIT_FAILED
    return EXIT_SOME_FAILED if summary.failed else EXIT_DONE


def _say(line: str) -> None:
    print(line, flush=True)
