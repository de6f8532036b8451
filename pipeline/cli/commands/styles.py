"""The commands that show what is available: `styles` and `schema`."""

import argparse
import json
from pathlib import Path

import stylebeam
from stylebeam.pipeline import storage
from stylebeam.pipeline.cli import exit_codes
from stylebeam.pipeline.cli.outputs import check_output, write_sheet
from stylebeam.pipeline.config.file import ConfigError
from stylebeam.pipeline.config.schema import schema as schema_of
from stylebeam.pipeline.methods.checkpoints import EXTENSION
from stylebeam.pipeline.methods.predicted_styles import predicted_checkpoint
from stylebeam.pipeline.methods.refined_styles import known_photo
from stylebeam.pipeline.runs.preview import sample_photographs, styles_sheet
from stylebeam.pipeline.terminal import say
from stylebeam.transforms.checkpoints import save_checkpoint
from stylebeam.transforms.hardware.devices import choose_device
from stylebeam.transforms.images.decoding import decode


def styles(args: argparse.Namespace) -> int:
    """List the shipped styles and super-resolution networks, or write a sheet or a style."""
    if args.painting or args.output or args.refine:
        return _write_style(args)
    if args.sheet:
        check_output(args.sheet, [args.photo] if args.photo else [])
        photos = [decode(storage.read(args.photo)).pixels] if args.photo else sample_photographs()
        write_sheet(styles_sheet(photos, choose_device("auto")), args.sheet)
        return exit_codes.DONE
    for each in stylebeam.list_styles():
        say(f"{each.name}: {each.description}")
    for each in stylebeam.list_super_resolution():
        say(f"{each.name}: {each.description}")
    return exit_codes.DONE


def _write_style(args: argparse.Namespace) -> int:
    """Write a checkpoint with the style of a painting."""
    if not args.painting or not args.output:
        raise ConfigError(["--from PAINTING and --output FILE go together"])
    output = Path(args.output)
    if output.suffix != EXTENSION:
        raise ConfigError([f"--output must end in {EXTENSION}, unlike {args.output}"])
    if args.refine is not None and not args.refine > 0:
        raise ConfigError([f"--refine must be above 0, not {args.refine:g}"])
    if args.refine is not None and not args.photo:
        raise ConfigError(["--refine needs --photo FILE, a photo to refine the style on"])
    refined_on = [known_photo(args.photo)] if args.refine else []
    checkpoint = predicted_checkpoint(args.painting, output.stem, args.refine, refined_on)
    save_checkpoint(checkpoint, output)
    return exit_codes.DONE


def schema(args: argparse.Namespace) -> int:
    """Print the JSON Schema of a kind of config."""
    say(*json.dumps(schema_of(args.kind), indent=2).splitlines())
    return exit_codes.DONE
