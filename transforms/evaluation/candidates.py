"""The candidates of an evaluation: what makes pictures of photos, and how these are measured."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from stylebeam.transforms.checkpoints import (
    Checkpoint,
    CheckpointError,
    parse_checkpoint,
    read_checkpoint_file,
)
from stylebeam.transforms.evaluation.config import EvaluationConfig
from stylebeam.transforms.evaluation.images import ContentImage
from stylebeam.transforms.networks.style_network import StyleNetwork
from stylebeam.transforms.training.loop_config import ConfigValueError


@dataclass
class Candidate:
    """A style, a super-resolution network, a baseline, or the pictures of another program.

    Attributes:
        group: the checkpoint or program that it belongs to.
        name: of the group and, if that has several, of the style.
        make: takes a photo; returns the picture, RGB, uint8 of shape (3, H, W), or None if there is
            none.
        measure: takes a picture and its photo; returns numbers by name.
        painting: of the style; None for super-resolution.
        network: the network's name; empty for another program.
        parameters: their number.
        count: does the work of `make` with PyTorch, so that its multiplications can be counted;
            None for another program, which is not timed either.
        measures: by name, a number for each photo.
        seconds: for each photo.
        multiply_adds: for the first photo.
    """

    group: str
    name: str
    make: Callable[[ContentImage], Tensor | None]
    measure: Callable[[Tensor, ContentImage], dict[str, float]]
    painting: Path | None = None
    network: str = ""
    parameters: int = 0
    count: Callable[[ContentImage], object] | None = None
    measures: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    seconds: list[float] = field(default_factory=list)
    multiply_adds: int = 0


def read_checkpoints(config: EvaluationConfig) -> Iterator[tuple[str, Checkpoint, nn.Module]]:
    """Yield the name, the contents and the network of each checkpoint.

    Raises:
        ConfigValueError: a checkpoint cannot be read.
    """
    for path in config.checkpoints:
        try:
            checkpoint = parse_checkpoint(read_checkpoint_file(path))
            yield path.stem, checkpoint, checkpoint.build()
        except (OSError, CheckpointError) as error:
            raise ConfigValueError(f"checkpoints: {path} cannot be read: {error}") from error


def run_on_meta_device(network: nn.Module, pixels: Tensor) -> None:
    """Run a network on the meta device, with an image of the given size."""
    images = torch.empty((1, *pixels.shape), device="meta")
    settings = []
    if isinstance(network, StyleNetwork):
        settings = [torch.empty((1, network.style_size), device="meta")]
    network.to("meta")(images, *settings)
