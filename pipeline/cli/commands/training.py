"""The commands that train and measure networks."""

import argparse
import functools
import json

from stylebeam.pipeline.archive.inputs import StoredImage, stored_images
from stylebeam.pipeline.cli import exit_codes
from stylebeam.pipeline.config.file import load_config
from stylebeam.pipeline.terminal import say
from stylebeam.transforms.distillation.distill import DistillationConfig
from stylebeam.transforms.distillation.distill import distill as distill_network
from stylebeam.transforms.evaluation.config import EvaluationConfig
from stylebeam.transforms.evaluation.evaluate import evaluate as evaluate_checkpoints
from stylebeam.transforms.training.any_style import train_any_style as train_any_style_network
from stylebeam.transforms.training.any_style_config import AnyStyleTrainingConfig
from stylebeam.transforms.training.style import train as train_network
from stylebeam.transforms.training.style_config import StyleTrainingConfig
from stylebeam.transforms.training.super_resolution import SuperResolutionTrainingConfig
from stylebeam.transforms.training.super_resolution import (
    train_super_resolution as train_super_resolution_network,
)


def train(args: argparse.Namespace) -> int:
    """Train a style network."""
    settings = [
        f"{key}={json.dumps(value)}"
        for key in ("style_image", "style_images", "content_images", "add_to", "output", "minutes")
        if (value := getattr(args, key)) is not None
    ]
    config = load_config(args.config, StyleTrainingConfig, [*args.set, *settings])
    checkpoint = train_network(config, say, _photos)
    use = f"style: {config.output}"
    if len(checkpoint.styles) > 1:
        use = f"checkpoint: {config.output}, style: {list(checkpoint.styles)[-1]}"
    say(f"The checkpoint is in {config.output}. Use it as fast: {{{use}}}.")
    return exit_codes.DONE


def train_any_style(args: argparse.Namespace) -> int:
    """Train a network for any painting, and the network that predicts styles."""
    config = load_config(args.config, AnyStyleTrainingConfig, args.set)
    checkpoint = train_any_style_network(config, say, _photos)
    say(f"The checkpoint is in {config.output}, the predictor of styles in {config.predictor}.")
    if checkpoint.styles:
        style = next(iter(checkpoint.styles))
        say(f"Use a named style as fast: {{checkpoint: {config.output}, style: {style}}}.")
    return exit_codes.DONE


def train_super_resolution(args: argparse.Namespace) -> int:
    """Train a super-resolution network."""
    config = load_config(args.config, SuperResolutionTrainingConfig, args.set)
    train_super_resolution_network(config, say, _photos)
    say(
        f"The checkpoint is in {config.output}. Use it with method: super_resolution, as"
        f" super_resolution: {{checkpoint: {config.output}}}."
    )
    return exit_codes.DONE


def evaluate(args: argparse.Namespace) -> int:
    """Measure style networks on photos."""
    config = load_config(args.config, EvaluationConfig, args.set)
    say(*evaluate_checkpoints(config, report=say).splitlines())
    say(f"The tables are in {config.output / 'table.md'}, pictures in grid_1.png beside it.")
    return exit_codes.DONE


def distill(args: argparse.Namespace) -> int:
    """Train a distilled VGG."""
    config = load_config(args.config, DistillationConfig, args.set)
    unexplained = distill_network(config, report=say)
    say(f"The loss network is in {config.output}. Unexplained variance on held-out images:")
    for kind, layers in unexplained.items():
        say(f"  {kind}: " + ", ".join(f"{layer} {part:.1%}" for layer, part in layers.items()))
    return exit_codes.DONE


@functools.cache
def _note(line: str) -> None:
    """Print a note; once, since a training lists its photos several times."""
    say(f"note: {line}")


def _photos(location: str) -> list[StoredImage]:
    return stored_images(location, _note)
