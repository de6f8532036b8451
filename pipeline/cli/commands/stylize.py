"""The command `stylize`: one image, by the engines of `import stylebeam`."""

import argparse
import sys
from typing import Any

import stylebeam
from stylebeam.pipeline import storage
from stylebeam.pipeline.cli import exit_codes
from stylebeam.pipeline.cli.outputs import check_output, format_of
from stylebeam.pipeline.config.file import ConfigError
from stylebeam.pipeline.config.yaml_nodes import YamlError, apply_setting, parse, values
from stylebeam.transforms.engine import Engine
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.encoding import encode


def stylize(args: argparse.Namespace) -> int:
    """Stylize one image."""
    if args.output != "-":
        if args.format is not None:
            raise ConfigError(["--format is for OUT -; a file's name decides its format"])
        check_output(args.output, [args.input])
    engine = _optimization(args) if args.style_image else _style(args)
    data = sys.stdin.buffer.read() if args.input == "-" else storage.read(args.input)
    picture = engine(decode(data, args.max_pixels))
    image_format = args.format or format_of(args.output) or "png"
    encoded = encode(picture, image_format, args.quality)
    if args.output == "-":
        sys.stdout.buffer.write(encoded)
    else:
        storage.write(args.output, encoded, f"image/{image_format}")
    return exit_codes.DONE


def _style(args: argparse.Namespace) -> Engine:
    """Return the engine of the style that the arguments name."""
    if not args.style:
        raise ConfigError(["stylize needs --style, or --style-image for a painting"])
    if args.set:
        raise ConfigError(["--set is for the options of an optimization; it needs --style-image"])
    return stylebeam.open_style(
        dict(args.style),
        checkpoint=args.checkpoint,
        strength=args.strength,
        processing_size=args.processing_size,
        device=args.device,
    )


def _optimization(args: argparse.Namespace) -> Engine:
    """Return the engine of the optimization that the arguments name."""
    settings = _settings(args.set)
    starts_fast = settings.get("init") == "fast"
    if starts_fast and not args.style:
        raise ConfigError(["init: fast needs --style, the style to start with"])
    if not starts_fast and args.style:
        raise ConfigError(["--style goes with --style-image only for --set init=fast"])
    fast = {
        "style": dict(args.style),
        "checkpoint": args.checkpoint,
        "strength": args.strength,
        "processing_size": args.processing_size,
    }
    return stylebeam.open_optimization(
        args.style_image, device=args.device, fast=fast if starts_fast else None, **settings
    )


def _settings(overrides: list[str]) -> dict[str, Any]:
    """Return the options in `key=value` arguments, whose values are YAML."""
    try:
        root = parse("{}", "--set")
        for override in overrides:
            apply_setting(root, override)
        return values(root)
    except YamlError as error:
        raise ConfigError(error.args) from None
