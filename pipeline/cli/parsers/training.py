"""The arguments of the commands that train and measure networks."""

from stylebeam.pipeline.cli.parsers.common import Commands, add_command, add_config


def add_train(commands: Commands) -> None:
    """Add the command `train`."""
    command = add_command(
        commands,
        "train",
        "train a style network on a painting",
        """\
Train a style network on a painting and a folder of photos. All options can be
given in a config, and the most important ones as arguments.

The same command continues a training that was stopped.""",
        "stylebeam train --style-image painting.jpg --content-images photos \\\n"
        "    --output my_style.safetensors --minutes 5",
        "stylebeam train train.yaml --set crop_size=384",
    )
    add_config(command, optional=True)
    command.add_argument("--style-image", metavar="FILE", help="the painting")
    command.add_argument(
        "--style-images", metavar="FOLDER", help="paintings, for one network with many styles"
    )
    command.add_argument(
        "--add-to",
        metavar="FILE",
        help="a checkpoint of a network with many styles, to which the painting is added as one"
        " more style; this takes a fraction of the time",
    )
    command.add_argument("--content-images", metavar="FOLDER", help="the photos to train on")
    command.add_argument(
        "--output", metavar="FILE", help="the checkpoint to write, ending in .safetensors"
    )
    command.add_argument(
        "--minutes",
        type=float,
        help="how long to train; longer is better (default: a number of iterations)",
    )


def add_train_any_style(commands: Commands) -> None:
    """Add the command `train-any-style`."""
    command = add_command(
        commands,
        "train-any-style",
        "train a network for any painting",
        """\
Train a network for any painting, with a second network that predicts the style
of a painting, on a folder of paintings and a folder of photos.

The same command continues a training that was stopped.""",
        "stylebeam train-any-style configs/train_any_style/any_style.yaml",
        "stylebeam train-any-style any_style.yaml --set device=cuda \\\n"
        "    --set minutes=10 --set batch_size=16",
    )
    add_config(command)


def add_train_super_resolution(commands: Commands) -> None:
    """Add the command `train-super-resolution`."""
    command = add_command(
        commands,
        "train-super-resolution",
        "train a network that enlarges photos",
        """\
Train a super-resolution network on a folder of photos.

The same command continues a training that was stopped.""",
        "stylebeam train-super-resolution configs/train_super_resolution/x4_pixel.yaml",
    )
    add_config(command)


def add_evaluate(commands: Commands) -> None:
    """Add the command `evaluate`."""
    command = add_command(
        commands,
        "evaluate",
        "measure style networks on photos",
        """\
Measure the pictures, the speed and the size of style networks on photos that
they were not trained on, and write tables and pages of their pictures. Pictures
of other programs can be measured beside them.""",
        "stylebeam evaluate configs/evaluate/styles.yaml",
    )
    add_config(command)


def add_distill(commands: Commands) -> None:
    """Add the command `distill`."""
    command = add_command(
        commands,
        "distill",
        "train a distilled VGG",
        """\
Train a distilled VGG, a small loss network that replaces VGG in trainings and
optimizations, and report how much of VGG's features it misses. One is shipped.""",
        "stylebeam distill configs/distill/embedded.yaml",
    )
    add_config(command)
