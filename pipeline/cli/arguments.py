"""The command line: parse, call, exit code."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TypeVar

from stylebeam.transforms.images.formats import (
    DEFAULT_MAX_PIXELS,
    DEFAULT_QUALITY,
    EXTENSION_OF_FORMAT,
)

T = TypeVar("T", int, float)

CONFIG_KINDS = ("run", "sweep", "train", "train-super-resolution", "evaluate", "distill")
"""The kinds of configs, by the command that takes each."""

_WITH_BEAM_FLAGS = ("run", "sweep")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: all done. 1: the run failed. 2: the command or the config is wrong. 3: the run finished and
    some images failed.
    """
    parser = _parser()
    args, rest = parser.parse_known_args(arguments)
    if rest and args.command not in _WITH_BEAM_FLAGS:
        parser.error(f"there is no {rest[0]} for this command")
    args.beam_flags = rest
    try:
        # Only now: torch and Beam take seconds to import, and who asks for help is not to wait.
        from stylebeam.pipeline.cli.execution import execute  # noqa: PLC0415

        return execute(args)
    except KeyboardInterrupt:
        print("stylebeam: stopped.", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stylebeam",
        description="Stylise photo archives with neural networks, as a Beam pipeline.",
        epilog="Begin with: stylebeam run configs/samples.yaml. Exit codes: 0 all done, 1 the run"
        " failed, 2 the command or the config is wrong, 3 some images failed.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"stylebeam {version('stylebeam')}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)

    run = _command(
        subparsers,
        "run",
        "stylise the batches of a config",
        "Stylise the batches of a config. Any option of Beam may follow, such as"
        " --direct_num_workers=2, or --runner=DataflowRunner with its options; without a runner"
        " the work is done on this machine.",
        "stylebeam run photos.yaml --set batches.holiday.fast.style=udnie",
    )
    run.add_argument(
        "--retry-failed",
        action="store_true",
        help="do only the images that failed in the run before",
    )
    run.add_argument(
        "--json", action="store_true", help="print what became of the run as JSON, and nothing else"
    )
    validate = _command(
        subparsers,
        "validate",
        "check a config and say what a run would do",
        "Check a config, its files and its styles, count the images, and estimate the time on this"
        " machine from a few of them, without writing.",
        "stylebeam validate photos.yaml",
    )
    validate.add_argument(
        "--quick", action="store_true", help="leave out the estimate, which takes some seconds"
    )
    preview = _command(
        subparsers,
        "preview",
        "show what photos will look like, before a run",
        "Stylise the middles of a few photos of each batch at full resolution, and lay them out"
        " beside the photos in a contact sheet. Optimisations are cut short.",
        "stylebeam preview photos.yaml preview.png",
    )
    sweep = _command(
        subparsers,
        "sweep",
        "compare the values of two keys, side by side",
        "Stylise the images of a config's batch with every combination of the values that its"
        " section sweep: gives for two keys, and lay them out in one contact sheet for each image."
        " Any option of Beam may follow, as with run.",
        "stylebeam sweep sweep.yaml --set sweep.columns.values=[0.2,0.4,0.6]",
    )
    training = _command(
        subparsers,
        "train",
        "train a style network on a painting",
        "Train a style network on a painting and a folder of photos, from a config or from options"
        " alone. A training that was stopped goes on where it was when the same command is given"
        " again.",
        "stylebeam train --style-image my_painting.jpg --content-images photos"
        " --output my_style.safetensors --minutes 5",
    )
    training.add_argument("--style-image", metavar="FILE", help="the painting")
    training.add_argument(
        "--style-images", metavar="FOLDER", help="paintings, for one network of many styles"
    )
    training.add_argument(
        "--add-to",
        metavar="FILE",
        help="a checkpoint of such a network: add the painting to it, in a fraction of the time",
    )
    training.add_argument("--content-images", metavar="FOLDER", help="photos to train on")
    training.add_argument("--output", metavar="FILE", help="the style to write: *.safetensors")
    training.add_argument(
        "--minutes", type=float, help="how long to train; more is better (default: by iterations)"
    )
    super_resolution = _command(
        subparsers,
        "train-super-resolution",
        "train a network that enlarges images",
        "Train a network for method: super_resolution on a folder of photos. A training that was"
        " stopped goes on where it was when the same command is given again.",
        "stylebeam train-super-resolution configs/train_super_resolution/x4_pixel.yaml",
    )
    evaluation = _command(
        subparsers,
        "evaluate",
        "measure checkpoints on photos",
        "Measure the losses, speed and size of checkpoints on photos that they were not trained on,"
        " and put their pictures side by side.",
        "stylebeam evaluate configs/evaluate/styles.yaml",
    )
    distillation = _command(
        subparsers,
        "distill",
        "train the embedded loss network",
        "Train the small network that stands for VGG in trainings. One is shipped; this makes"
        " another, and says how much of VGG it misses.",
        "stylebeam distill configs/distill/embedded.yaml",
    )
    for command in (
        run,
        validate,
        preview,
        sweep,
        training,
        super_resolution,
        evaluation,
        distillation,
    ):
        optional = "?" if command is training else None
        command.add_argument(
            "config", metavar="CONFIG", nargs=optional, help="a YAML file, path or URI"
        )
        command.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="override a value of the config; the key is dotted, as in run.device=cpu",
        )

    preview.add_argument("output", metavar="OUT", help="where to write: a path or a URI")

    styles = _command(
        subparsers,
        "styles",
        "list the styles that are shipped, or show them",
        "List the styles that are shipped, with their size and how they were trained; or show them"
        " all on photos.",
        "stylebeam styles --sheet styles.png",
    )
    styles.add_argument("--sheet", metavar="OUT", help="write a contact sheet of the styles")
    styles.add_argument(
        "--photo", metavar="FILE", help="that the sheet shows; default: six shipped photographs"
    )

    schema = _command(
        subparsers,
        "schema",
        "print the JSON Schema of a kind of config, for editors",
        "Print the JSON Schema of a kind of config, by which editors complete and check it. Such a"
        " config begins with: # yaml-language-server: $schema=FILE",
        "stylebeam schema run > run.schema.json",
    )
    schema.add_argument(
        "kind",
        metavar="KIND",
        nargs="?",
        choices=CONFIG_KINDS,
        default="run",
        help=f"{', '.join(CONFIG_KINDS)}; run, which is that of validate too, is the default",
    )

    stylize = _command(
        subparsers,
        "stylize",
        "stylise one image",
        "Stylise one image. - stands for standard input or standard output.",
        "stylebeam stylize cat.jpg cat_starry.jpg --style starry_night",
    )
    stylize.add_argument("input", metavar="IN", help="the image: a path, a URI or -")
    stylize.add_argument("output", metavar="OUT", help="where to write: a path, a URI or -")
    stylize.add_argument(
        "--style",
        default=[],
        action="append",
        type=_style,
        metavar="STYLE",
        help="a style's name, or the path of a checkpoint of one style; given several times, with"
        " their parts, styles are blended: --style starry_night=0.3 --style udnie=0.7",
    )
    stylize.add_argument(
        "--style-image",
        metavar="FILE",
        help="instead of a style, a painting that the image itself is optimised towards",
    )
    stylize.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the optimisation, such as recipe=gatys2016 or style_weight=3000.0",
    )
    stylize.add_argument(
        "--checkpoint", metavar="FILE", help="where the styles are, if they are not shipped ones"
    )
    stylize.add_argument(
        "--strength",
        type=_number(float, 0, 1),
        default=1.0,
        help="0, the photo, to 1 (the default), the stylised image",
    )
    stylize.add_argument(
        "--processing-size",
        type=_number(int, 64, 100_000),
        metavar="PIXELS",
        help="short side at which a larger image is stylised; default: its own",
    )
    stylize.add_argument("--format", choices=EXTENSION_OF_FORMAT, help="for OUT -; default: png")
    stylize.add_argument(
        "--quality",
        type=_number(int, 1, 100),
        default=DEFAULT_QUALITY,
        help=f"of JPEG and WebP, 1 to 100 (default: {DEFAULT_QUALITY})",
    )
    stylize.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    stylize.add_argument(
        "--max-pixels", type=int, default=DEFAULT_MAX_PIXELS, help="refuse larger images"
    )
    return parser


def _command(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    description: str,
    example: str,
) -> argparse.ArgumentParser:
    command = subparsers.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"Example: {example}",
        allow_abbrev=False,
    )
    command.add_argument("--verbose", action="store_true", help="show the logs of Beam too")
    command.set_defaults(command=name)
    return command


def _style(text: str) -> tuple[str, float]:
    """Return a style's name or path, and its part in the result."""
    name, equals, part = text.rpartition("=")
    if not equals or text.endswith(".safetensors"):
        return text, 1.0
    try:
        number = float(part)
    except ValueError as error:
        message = f"{text} must be a name, or a name and its part, as starry_night=0.5"
        raise argparse.ArgumentTypeError(message) from error
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: a part must not be negative or infinite")
    return name, number


def _number(kind: type[T], low: float, high: float) -> Callable[[str], T]:
    """Return a parser of numbers from `low` to `high`."""

    def parse(text: str) -> T:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be from {low} to {high}, not {text}")
        return value

    # argparse names the kind in its message for text that is no number.
    parse.__name__ = kind.__name__
    return parse
