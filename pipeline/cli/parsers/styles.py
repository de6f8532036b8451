"""The arguments of the commands that show what is available."""

from stylebeam.pipeline.cli.parsers.common import Commands, add_command

CONFIG_KINDS = (
    "run",
    "sweep",
    "train",
    "train-any-style",
    "train-super-resolution",
    "evaluate",
    "distill",
)
"""The kinds of configs, named after their commands."""


def add_styles(commands: Commands) -> None:
    """Add the command `styles`."""
    command = add_command(
        commands,
        "styles",
        "list or show the shipped styles",
        """\
List the shipped styles and super-resolution networks, with their size and how
they were trained; show all styles on photos, in a contact sheet; or write a
checkpoint with the style of a painting, for --style or for fast: {style: ...}.""",
        "stylebeam styles",
        "stylebeam styles --sheet styles.png --photo cat.jpg",
        "stylebeam styles --from painting.jpg --output my.safetensors",
        computes=False,
    )
    command.add_argument("--sheet", metavar="OUT", help="write a contact sheet of the styles")
    command.add_argument(
        "--photo",
        metavar="FILE",
        help="the photo in the sheet (default: six shipped photos), or to refine a style on",
    )
    command.add_argument(
        "--from",
        dest="painting",
        metavar="FILE",
        help="predict the style of this painting, a path or URI",
    )
    command.add_argument(
        "--output", metavar="FILE", help="write that style, to a file ending in .safetensors"
    )
    command.add_argument(
        "--refine",
        type=float,
        metavar="SECONDS",
        help="refine that style on --photo first, for about this long on two CPU cores",
    )


def add_schema(commands: Commands) -> None:
    """Add the command `schema`."""
    command = add_command(
        commands,
        "schema",
        "print the JSON Schema of configs, for editors",
        """\
Print the JSON Schema of a kind of config. Editors complete and check a config
that starts with the line

  # yaml-language-server: $schema=FILE""",
        "stylebeam schema run > run.schema.json",
        computes=False,
    )
    command.add_argument(
        "kind",
        metavar="KIND",
        nargs="?",
        choices=CONFIG_KINDS,
        default="run",
        help="the command that reads the config: %(choices)s (default: %(default)s)",
    )
