"""The command `stylize`."""

import argparse
import json
import sys

import stylebeam
from stylebeam.opening import open_options
from stylebeam.pipeline import storage
from stylebeam.pipeline.cli import exit_codes
from stylebeam.pipeline.cli.outputs import check_output, format_of
from stylebeam.pipeline.config.file import ConfigError, load_config
from stylebeam.pipeline.methods import METHODS
from stylebeam.pipeline.methods.validation import validate_options
from stylebeam.pipeline.terminal import discard, say
from stylebeam.transforms.engine import Engine
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.formats import FORMATS, ImageError


def stylize(args: argparse.Namespace) -> int:
    """Stylize one photo."""
    if args.output == "-" and sys.stdout is None:
        raise ConfigError(["standard output is closed, so the picture cannot be written to it"])
    if args.input == "-" and sys.stdin is None:
        raise ConfigError(["standard input is closed, so no photo can be read from it"])
    if args.output != "-":
        if args.format is not None:
            raise ConfigError(
                ["--format is only for standard output; a file has the format of its extension"]
            )
        check_output(args.output, [args.input])
    engine = _optimization(args) if _optimizes(args) else _style(args)
    data = _standard_input() if args.input == "-" else storage.read(args.input)
    image_format = args.format or format_of(args.output) or "png"
    picture = engine(decode(data, args.max_pixels, FORMATS[image_format].check_size))
    encoded = encode(picture, image_format, args.quality)
    if args.output == "-":
        _write_to_standard_output(encoded)
    else:
        storage.write(args.output, encoded, f"image/{image_format}")
    return exit_codes.DONE


def _standard_input() -> bytes:
    """Return the photo on standard input, which can be endless.

    Raises:
        ImageError: it is larger than any photo.
    """
    data = sys.stdin.buffer.read(storage.MAX_BYTES + 1)
    if len(data) > storage.MAX_BYTES:
        raise ImageError(
            f"Standard input has more than {storage.MAX_BYTES / 1e9:g} GB, unlike any photo."
        )
    return data


def _write_to_standard_output(data: bytes) -> None:
    """Write a picture to standard output.

    Raises:
        OSError: not all of it can be written; a reader that has gone is such an error, too.
    """
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        discard(sys.stdout)
        reason = (error.strerror or str(error)).lower()
        raise OSError(f"The picture cannot be written to standard output: {reason}.") from error


def _optimizes(args: argparse.Namespace) -> bool:
    """Return whether the photo is to be optimized; says so where this has changed."""
    if args.optimize or not args.style_image:
        return bool(args.optimize)
    if args.set:
        say(
            "--set sets an option of the optimization, so the photo is optimized. Add --optimize:"
            " the next release will require it.",
            file=sys.stderr,
        )
        return True
    say(
        "The style is predicted from the painting. To optimize the photo towards it, as releases"
        " before this one did, add --optimize.",
        file=sys.stderr,
    )
    return False


def _style(args: argparse.Namespace) -> Engine:
    """Return the engine of a style."""
    if not args.style and not args.style_image:
        raise ConfigError(["stylize needs --style NAME, or --style-image PAINTING"])
    if args.set:
        raise ConfigError(["--set sets an option of an optimization, and needs --optimize"])
    return stylebeam.open_style(
        dict(args.style) or None,
        style_image=dict(args.style_image) or None,
        checkpoint=args.checkpoint,
        strength=args.strength,
        processing_size=args.processing_size,
        colors=args.colors,
        device=args.device,
    )


def _optimization(args: argparse.Namespace) -> Engine:
    """Return the engine of an optimization."""
    if not args.style_image:
        raise ConfigError(["--optimize needs --style-image PAINTING"])
    settings = [f"style_image={json.dumps(dict(args.style_image))}", *args.set]
    if args.colors != "painting":
        settings.append(f"colors={args.colors}")
    options = load_config(None, METHODS["gatys"], settings)
    if options.also_uses and not args.style:
        raise ConfigError(["init: fast needs --style, the style that the optimization starts from"])
    if args.style and not options.also_uses:
        raise ConfigError(
            ["--optimize uses --style only with --set init=fast, to start from its picture"]
        )
    start = {
        "style": dict(args.style),
        "checkpoint": args.checkpoint,
        "strength": args.strength,
        "processing_size": args.processing_size,
    }
    sections = {name: validate_options(name, start) for name in options.also_uses}
    return open_options(options, sections, device=args.device)
