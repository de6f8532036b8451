"""The arguments of the commands that take the config of a run."""

from stylebeam.pipeline.cli.parsers.common import Commands, add_command, add_config


def add_run(commands: Commands) -> None:
    """Add the command `run`."""
    command = add_command(
        commands,
        "run",
        "stylize the photos of a config",
        """\
Stylize the photos of a config's batches.

Photos whose outputs are up to date are skipped, so the same command continues
a run that was stopped. The run takes place on this machine unless a --runner
is given. Any option of Apache Beam is accepted, such as --direct_num_workers=2,
or --runner=DataflowRunner with its own options.""",
        "stylebeam run photos.yaml",
        "stylebeam run photos.yaml --set batches.holiday.fast.style=udnie",
        takes_beam_flags=True,
    )
    add_config(command)
    command.add_argument(
        "--retry-failed",
        action="store_true",
        help="stylize only the photos that failed in the last run",
    )
    command.add_argument(
        "--wait",
        action="store_true",
        help="if another run is writing to an output folder, wait for its end",
    )
    command.add_argument(
        "--json", action="store_true", help="print only the results of the run, as JSON"
    )


def add_validate(commands: Commands) -> None:
    """Add the command `validate`."""
    command = add_command(
        commands,
        "validate",
        "check a config, and show what a run would do",
        """\
Check a config and the files and styles that it names, count its photos, and
estimate how long a run would take on this machine. Nothing is written.""",
        "stylebeam validate photos.yaml",
    )
    add_config(command)
    command.add_argument(
        "--quick", action="store_true", help="skip the estimate, which takes a few seconds"
    )


def add_preview(commands: Commands) -> None:
    """Add the command `preview`."""
    command = add_command(
        commands,
        "preview",
        "show what photos will look like, before a run",
        """\
Stylize the center of a few photos of each batch at full resolution, and show
the results beside the photos in a contact sheet. Optimizations are shortened.""",
        "stylebeam preview photos.yaml preview.png",
    )
    add_config(command)
    command.add_argument("output", metavar="OUT", help="the image to write: a path or a URI")


def add_sweep(commands: Commands) -> None:
    """Add the command `sweep`."""
    command = add_command(
        commands,
        "sweep",
        "compare the values of one or two options, side by side",
        """\
Stylize the photos of a config's batch with each combination of the values in
the config's section `sweep`, and write one contact sheet for each photo.

Any option of Apache Beam is accepted, as for `stylebeam run`.""",
        "stylebeam sweep sweep.yaml",
        "stylebeam sweep sweep.yaml --set sweep.columns.values=[0.2,0.4,0.6]",
        takes_beam_flags=True,
    )
    add_config(command)
