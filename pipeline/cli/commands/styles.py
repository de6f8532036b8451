"""The commands that show what is available: `styles` and `schema`."""

import argparse
import json

import stylebeam
from stylebeam.pipeline import storage
from stylebeam.pipeline.cli import exit_codes
from stylebeam.pipeline.cli.outputs import check_output, write_sheet
from stylebeam.pipeline.config.schema import schema as schema_of
from stylebeam.pipeline.runs.preview import sample_photographs, styles_sheet
from stylebeam.transforms.hardware.devices import choose_device
from stylebeam.transforms.images.decoding import decode


def styles(args: argparse.Namespace) -> int:
    """List the shipped styles and super-resolution networks, or write a contact sheet."""
    if args.sheet:
        check_output(args.sheet, [args.photo] if args.photo else [])
        photos = [decode(storage.read(args.photo)).pixels] if args.photo else sample_photographs()
        write_sheet(styles_sheet(photos, choose_device("auto")), args.sheet)
        return exit_codes.DONE
    for each in stylebeam.list_styles():
        print(f"{each.name}: {each.description}")
    for each in stylebeam.list_super_resolution():
        print(f"{each.name}: {each.description}")
    return exit_codes.DONE


def schema(args: argparse.Namespace) -> int:
    """Print the JSON Schema of a kind of config."""
    print(json.dumps(schema_of(args.kind), indent=2))
    return exit_codes.DONE
