"""The arguments of the command `stylize`."""

import argparse
import math
from collections.abc import Callable
from typing import TypeVar

from stylebeam.pipeline.cli.parsers.common import Commands, add_command, add_set
from stylebeam.transforms.images.formats import (
    DEFAULT_MAX_PIXELS,
    DEFAULT_QUALITY,
    EXTENSION_OF_FORMAT,
)

Number = TypeVar("Number", int, float)


def add_stylize(commands: Commands) -> None:
    """Add the command `stylize`."""
    command = add_command(
        commands,
        "stylize",
        "stylize one photo",
        """\
Stylize one photo by a trained network, which takes a fraction of a second: with
--style in a style that it has learned, with --style-image in that of any
painting. With --optimize, the photo is optimized towards the painting instead,
which takes seconds to minutes.""",
        "stylebeam stylize cat.jpg cat_starry.jpg --style starry_night",
        "stylebeam stylize cat.jpg out.jpg --style starry_night=0.3 --style udnie=0.7",
        "stylebeam stylize cat.jpg out.jpg --style-image painting.jpg",
        "stylebeam stylize cat.jpg out.jpg --style-image painting.jpg --optimize",
    )
    command.add_argument(
        "input", metavar="IN", help="the photo: a path, a URI, or - for standard input"
    )
    command.add_argument(
        "output", metavar="OUT", help="the image to write: a path, a URI, or - for standard output"
    )
    command.add_argument(
        "--style",
        action="append",
        type=_style,
        default=[],
        metavar="STYLE",
        help="the name of a style, or the path of a checkpoint with one style; repeat it to blend"
        " styles, each with its part: --style starry_night=0.3 --style udnie=0.7",
    )
    command.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="the checkpoint that contains the styles (default: the shipped ones)",
    )
    command.add_argument(
        "--strength",
        type=_number(float, 0, 1),
        default=1.0,
        help="from 0, the photo, to 1, the stylized image (default: 1)",
    )
    command.add_argument(
        "--processing-size",
        type=_number(int, 64, 100_000),
        metavar="PIXELS",
        help="short side to which larger photos are reduced before they are stylized; the result"
        " has the photo's size and its fine detail (default: the photo's own size)",
    )
    command.add_argument(
        "--style-image",
        action="append",
        type=_painting,
        default=[],
        metavar="FILE",
        help="a painting, whose style is used; repeat it to blend, each with its part:"
        " --style-image one.jpg=0.3 --style-image other.jpg=0.7",
    )
    command.add_argument(
        "--colors",
        choices=("painting", "luminance", "histogram"),
        default="painting",
        help="where colors come from: the painting; or the photo, either by changing nothing but"
        " its luminance or by giving the picture the mean and covariance of its colors"
        " (default: painting)",
    )
    command.add_argument(
        "--optimize",
        action="store_true",
        help="optimize the photo towards the painting of --style-image",
    )
    add_set(command, "set an option of the optimization, as in --set iterations=50")
    command.add_argument(
        "--format", choices=EXTENSION_OF_FORMAT, help="file format if OUT is - (default: png)"
    )
    command.add_argument(
        "--quality",
        type=_number(int, 1, 100),
        default=DEFAULT_QUALITY,
        help="JPEG and WebP quality, from 1 to 100 (default: %(default)s)",
    )
    command.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where to compute (default: the GPU if there is one)",
    )
    command.add_argument(
        "--max-pixels",
        type=int,
        default=DEFAULT_MAX_PIXELS,
        metavar="PIXELS",
        help="refuse photos with more pixels (default: %(default)s)",
    )


def _style(text: str) -> tuple[str, float]:
    """Return the name or path of a style, and its part in a blend."""
    name, equals, part = text.rpartition("=")
    if not equals or text.endswith(".safetensors"):
        return text, 1.0
    try:
        number = float(part)
    except ValueError as error:
        message = f"{text} must be a name, or a name and its part, as in starry_night=0.5"
        raise argparse.ArgumentTypeError(message) from error
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: a part must not be negative or infinite")
    return name, number


def _painting(text: str) -> tuple[str, float]:
    """Return the path of a painting, and its part in a blend."""
    path, _, part = text.rpartition("=")
    # The name of a file may have an equals sign too.
    return _style(text) if path and part.replace(".", "", 1).isdecimal() else (text, 1.0)


def _number(kind: type[Number], low: float, high: float) -> Callable[[str], Number]:
    """Return a function that parses a number from `low` to `high`."""

    def parse(text: str) -> Number:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be from {low} to {high}, not {text}")
        return value

    # argparse uses this name in its message for text that is not a number.
    parse.__name__ = kind.__name__
    return parse
