"""The command line: parse, call, print, exit code."""

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from pipeline import run as runs
from pipeline import storage
from pipeline.config import RunConfig
from pipeline.config_file import ConfigError, load_config
from pipeline.ledger import outcomes_path
from pipeline.planning import BatchPlan, plan, survey
from pipeline.styles import StyleError, read_style
from transforms.checkpoints import CheckpointError, parse_checkpoint, shipped_styles
from transforms.devices import DeviceUnavailableError, choose_device
from transforms.feed_forward import FeedForwardStylizer, NonFiniteError
from transforms.image_io import EXTENSION_OF_FORMAT, FORMAT_OF_EXTENSION, ImageError, decode, encode
from transforms.training import RecipeError, TrainingError, TrainingRecipe, train
from transforms.vgg import WeightsUnavailableError

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_SOME_FAILED = range(4)

_USAGE_ERRORS = (
    ConfigError,
    StyleError,
    RecipeError,
    DeviceUnavailableError,
    WeightsUnavailableError,
)
_FAILURES = (
    runs.RunFailedError,
    storage.StorageError,
    TrainingError,
    ImageError,
    CheckpointError,
    NonFiniteError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: all done. 1: the run failed. 2: the command or the config is wrong. 3: the run finished and
    some images failed.
    """
    parser = _parser()
    args, rest = parser.parse_known_args(arguments)
    if rest and args.command is not _run:
        parser.error(f"there is no {rest[0]} for this command")
    args.beam_flags = rest
    logging.basicConfig(level=logging.INFO if args.verbose else logging.ERROR, force=True)
    try:
        return args.command(args)
    except _USAGE_ERRORS as error:
        print(f"stylebeam: {error}", file=sys.stderr)
        return EXIT_USAGE
    except _FAILURES as error:
        print(f"stylebeam: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("stylebeam: stopped.", file=sys.stderr)
        return EXIT_FAILED


def _run(args: argparse.Namespace) -> int:
    options = runs.beam_options(args.beam_flags)
    config = load_config(args.config, RunConfig, args.set)
    if runs.is_local(options):
        choose_device(config.run.device)
    plans = plan(config)
    _print_plan(plans)
    summary = runs.run(config, plans, options)
    for batch in summary.batches:
        done, failed = batch.counts["done"], batch.counts["failed"]
        print(f"{batch.name}: {done} done, {failed} failed; outputs in {batch.output}")
        for outcome in batch.failures:
            print(f"  failed: {outcome.input}: {outcome.error}")
        if failed > len(batch.failures):
            print(f"  ... the others are in {outcomes_path(batch.output)}")
    if summary.networks_loaded is not None:
        print(f"Style networks loaded: {summary.networks_loaded}.")
    folders = ", ".join(sorted({batch.output for batch in summary.batches}))
    print(f"Look in {folders}. What became of each image: _stylebeam/outcomes.jsonl there.")
    return EXIT_SOME_FAILED if summary.failed else EXIT_DONE


def _validate(args: argparse.Namespace) -> int:
    _print_plan(plan(load_config(args.config, RunConfig, args.set)))
    print("The config is valid.")
    return EXIT_DONE


def _print_plan(plans: Sequence[BatchPlan]) -> None:
    counts = survey(plans)
    for batch_plan in plans:
        batch = batch_plan.batch
        print(
            f"{batch.name}: {counts[batch.name]} images in {batch.input}, {batch.method}"
            f" {batch.options.style}, to {batch.output}"
        )
        if not counts[batch.name]:
            extensions = ", ".join(FORMAT_OF_EXTENSION)
            print(f"  {batch.input} holds no images (looked for {extensions}): nothing to do.")


def _train(args: argparse.Namespace) -> int:
    recipe = load_config(args.config, TrainingRecipe, args.set)
    train(recipe, report=lambda line: print(line, flush=True))
    print(f"The checkpoint is in {recipe.output}. Use it as fast: {{style: {recipe.output}}}.")
    return EXIT_DONE


def _styles(args: argparse.Namespace) -> int:
    for name, path in shipped_styles().items():
        data = path.read_bytes()
        checkpoint = parse_checkpoint(data)
        recipe = checkpoint.recipe
        print(
            f"{name}: {checkpoint.network}, {len(data) / 1e6:.1f} MB; {recipe['iterations']}"
            f" iterations of {recipe['batch_size']} crops of {recipe['crop_size']} px on"
            f" {recipe['style_image']} at {recipe['style_size']} px, {recipe['loss_network']}"
        )
    return EXIT_DONE


def _stylize(args: argparse.Namespace) -> int:
    extension = Path(args.output).suffix.lower()
    if args.format is None and args.output != "-" and extension not in FORMAT_OF_EXTENSION:
        raise ConfigError(
            [f"{args.output}: the name must end in one of {', '.join(FORMAT_OF_EXTENSION)}."]
        )
    if args.output != "-" and Path(args.output).resolve() == Path(args.input).resolve():
        raise ConfigError([f"{args.output} is the input, which is never overwritten."])
    checkpoint, _ = read_style(args.style)
    stylizer = FeedForwardStylizer(checkpoint, choose_device(args.device))
    data = sys.stdin.buffer.read() if args.input == "-" else storage.read(args.input)
    photo = decode(data, args.max_pixels)
    stylized = photo.with_pixels(stylizer.stylize(photo.pixels, args.strength))
    image_format = args.format or FORMAT_OF_EXTENSION.get(extension, "png")
    encoded = encode(stylized, image_format, args.quality)
    if args.output == "-":
        sys.stdout.buffer.write(encoded)
    else:
        storage.write(args.output, encoded, f"image/{image_format}")
    return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stylebeam",
        description="Stylise photo archives with neural networks, as a Beam pipeline.",
        epilog="Begin with: stylebeam run configs/samples.yaml. Exit codes: 0 all done, 1 the run"
        " failed, 2 the command or the config is wrong, 3 some images failed.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"stylebeam {version('stylebeam')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = _command(
        commands,
        _run,
        "run",
        "stylise the batches of a config",
        "Stylise the batches of a config. Any option of Beam may follow, such as"
        " --direct_num_workers=2, or --runner=DataflowRunner with its options; without a runner"
        " the work is done on this machine.",
        "stylebeam run photos.yaml --set batches.holiday.fast.style=udnie",
    )
    validate = _command(
        commands,
        _validate,
        "validate",
        "check a config and say what a run would do",
        "Check a config, its files and its styles, and count the images, without writing.",
        "stylebeam validate photos.yaml",
    )
    training = _command(
        commands,
        _train,
        "train",
        "train a style network on a painting",
        "Train a style network on a painting and a folder of photos. A training that was stopped"
        " goes on where it was when the same command is given again.",
        "stylebeam train configs/train/starry_night.yaml --set style_image=my_painting.jpg",
    )
    for command in (run, validate, training):
        command.add_argument("config", metavar="CONFIG", help="a YAML file, path or URI")
        command.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="override a value of the config; the key is dotted, as in run.device=cpu",
        )

    _command(
        commands,
        _styles,
        "styles",
        "list the styles that are shipped",
        "List the styles that are shipped, with their size and how they were trained.",
        "stylebeam styles",
    )

    stylize = _command(
        commands,
        _stylize,
        "stylize",
        "stylise one image",
        "Stylise one image. - stands for standard input or standard output.",
        "stylebeam stylize cat.jpg cat_starry.jpg --style starry_night",
    )
    stylize.add_argument("input", metavar="IN", help="the image: a path, a URI or -")
    stylize.add_argument("output", metavar="OUT", help="where to write: a path, a URI or -")
    stylize.add_argument("--style", required=True, help="a shipped style or a checkpoint's path")
    stylize.add_argument("--strength", type=_share, default=1.0, help="0 to 1 (default: 1)")
    stylize.add_argument(
        "--format", choices=EXTENSION_OF_FORMAT, help="default: by OUT's name; png for -"
    )
    stylize.add_argument("--quality", type=int, default=92, help="of JPEG and WebP (default: 92)")
    stylize.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    stylize.add_argument("--max-pixels", type=int, default=200_000_000, help="refuse larger images")
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    function: object,
    name: str,
    summary: str,
    description: str,
    example: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"Example: {example}",
        allow_abbrev=False,
    )
    command.add_argument("--verbose", action="store_true", help="show the logs of Beam too")
    command.set_defaults(command=function)
    return command


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be from 0 to 1")
    return value
