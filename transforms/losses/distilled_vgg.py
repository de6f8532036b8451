"""The embedded loss network: VGG-19 compressed to a network small enough to ship.

It has VGG-19's convolutions: the first three with fewer channels, the others in factors, a 1x1
convolution to a few channels, a 3x3 convolution between few, and a 1x1 convolution to those that
the rectifier needs (Kim et al. 2016, "Compression of Deep Convolutional Neural Networks for Fast
and Low Power Mobile Applications").
In blocks 3 to 5 its features F_s are VGG's activations, as far as it knows them. In the first two
blocks they are fewer, and a linear map A predicts the activations: A F_s ~ F. Distances in VGG's
features then need neither VGG nor A. With the QR decomposition A = Q R, Q having orthonormal
columns,

    ||A F_s - A P_s||^2 = ||R F_s - R P_s||^2
    ||A (G_s - A_s) A^T||_F^2 = ||R (G_s - A_s) R^T||_F^2

so that R, a square root of A^T A as small as F_s, is all of A that is kept: the layer's readout.
`stylebeam.transforms.distillation` makes the network.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.checkpoints import (
    DISTILLED_VGG,
    Checkpoint,
    CheckpointError,
    parse_checkpoint,
    save_checkpoint,
)
from stylebeam.transforms.losses.pooling import average_pool
from stylebeam.transforms.losses.vgg import WeightsUnavailableError, normalize

SHIPPED_WEIGHTS = Path(__file__).parents[1] / "weights" / "loss_network" / "embedded.safetensors"


class Width(NamedTuple):
    """The size of a convolution.

    Attributes:
        channels: that it returns.
        ranks: channels that the 3x3 convolution between two 1x1 convolutions takes and returns;
            None for a 3x3 convolution alone.
    """

    channels: int
    ranks: tuple[int, int] | None = None


# At high resolution a channel costs the most and explains the least. What a convolution makes use
# of and what it gives to its rectifier are of much lower rank than what comes out of the rectifier,
# so that a factored convolution can keep VGG's channels.
WIDTHS: Mapping[str, Width] = {
    "conv1_1": Width(16),
    "conv1_2": Width(24),
    "conv2_1": Width(48),
    "conv2_2": Width(96, (32, 48)),
    "conv3_1": Width(256, (48, 64)),
    "conv3_2": Width(256, (64, 64)),
    "conv3_4": Width(256, (64, 64)),
    "conv4_1": Width(512, (64, 96)),
    "conv4_2": Width(512, (64, 96)),
    "conv4_3": Width(512, (64, 96)),
    "conv4_4": Width(512, (64, 96)),
    "conv5_1": Width(512, (96, 160)),
}
"""The convolutions, by VGG-19's names; each block has half the resolution of the one before.

conv3_3 is left out: conv3_4 is predicted well enough without it.
"""

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")
"""The layers that the network has: those of VGG-19 that Gatys et al. 2016 use."""

READ_LAYERS = ("relu1_1", "relu2_1")
"""The layers that have a readout."""


class DistilledVgg(nn.Module):
    """A small network that returns what stands for the activations of chosen layers of VGG-19."""

    def __init__(self, layers: Iterable[str] = LAYERS) -> None:
        """Build the network with random weights; it ends at the deepest layer asked for.

        Raises:
            ValueError: a layer does not exist in this network.
        """
        super().__init__()
        self.layers = frozenset(layers)
        unknown = sorted(self.layers - set(LAYERS))
        if unknown or not self.layers:
            raise ValueError(
                f"embedded has no layer {', '.join(unknown) or 'without a name'};"
                f" it has {', '.join(LAYERS)}."
            )
        deepest = max(map(convolution_of, self.layers))
        self.convolutions = nn.ModuleDict()
        channels = 3
        for name, width in WIDTHS.items():
            if name <= deepest:
                self.convolutions[name] = _convolution(channels, width)
                channels = width.channels
        self.readouts = nn.ParameterDict(
            {layer: torch.eye(channels_of(layer)) for layer in READ_LAYERS if layer in self.layers}
        )

    def forward(self, images: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        """Return what stands for the activations of the chosen layers.

        Args:
            images: RGB in [0, 1], shape (B, 3, H, W).
            layers: those that are wanted of the chosen ones; by default all.

        Returns:
            By layer name, features of shape (B, C, H', W'), to be read through their `readout`.
        """
        values = normalize(images).to(next(self.convolutions.parameters()).dtype)
        wanted = self.layers if layers is None else layers
        features: dict[str, Tensor] = {}
        for name, convolution in self.convolutions.items():
            if halves_the_resolution(name):
                values = average_pool(values)
            # What a convolution returns is of no use any more.
            values = F.relu(convolution(values), inplace=True)
            layer = name.replace("conv", "relu")
            if layer in wanted:
                features[layer] = values
            if len(features) == len(wanted):
                break
        return features

    def readout(self, layer: str) -> Tensor | None:
        """Return the matrix R, shape (C, C), through which distances of a layer are taken.

        None stands for the identity, where a layer has VGG's own channels.
        """
        readout: Tensor | None = self.readouts.get(layer)
        return readout


def _convolution(channels: int, width: Width) -> nn.Module:
    if width.ranks is None:
        return nn.Conv2d(channels, width.channels, 3, padding=1)
    input_rank, rank = width.ranks
    return nn.Sequential(
        nn.Conv2d(channels, input_rank, 1, bias=False),
        nn.Conv2d(input_rank, rank, 3, padding=1, bias=False),
        nn.Conv2d(rank, width.channels, 1),
    )


def halves_the_resolution(convolution: str) -> bool:
    """Say whether a pooling comes before a convolution: the first of every block but the first."""
    return convolution.endswith("_1") and convolution != "conv1_1"


def convolution_of(layer: str) -> str:
    """Return the name of the convolution before a layer."""
    return layer.replace("relu", "conv")


def linear(features: Tensor, matrix: Tensor) -> Tensor:
    """Multiply the features at every place, shape (B, C, H, W), by a matrix, shape (C', C)."""
    return F.conv2d(features, matrix[:, :, None, None])


def channels_of(layer: str) -> int:
    """Return how many channels stand for a layer."""
    return WIDTHS[convolution_of(layer)].channels


def readout_of(linear_map: Tensor) -> Tensor:
    """Return the matrix that stands for a map from features to a layer's activations.

    It is R sqrt(C_s / C), with A = Q R: the losses divide by the number of channels, which is C
    for the layer and C_s for what stands for it.

    Args:
        linear_map: A, shape (C, C_s), C at least C_s.

    Returns:
        Upper triangular, shape (C_s, C_s).
    """
    channels, small_channels = linear_map.shape
    return torch.linalg.qr(linear_map).R * (small_channels / channels) ** 0.5


def save_distilled_vgg(network: DistilledVgg, about: Mapping[str, Any], path: Path) -> None:
    """Write the network as a checkpoint.

    Args:
        network: with all of its layers.
        about: how it was made, as plain values.
        path: of the file.

    Raises:
        OSError: the file cannot be written.
    """
    checkpoint = Checkpoint(DISTILLED_VGG, network.state_dict(), {}, training=dict(about))
    save_checkpoint(checkpoint, path)


def about_distilled_vgg(weights: Path = SHIPPED_WEIGHTS) -> dict[str, Any]:
    """Return how a network was made, as `save_distilled_vgg` was told.

    Args:
        weights: a checkpoint of this network, by default the one that is shipped.

    Raises:
        WeightsUnavailableError: the file cannot be read, or holds something else.
    """
    return _read(weights).training


def load_distilled_vgg(layers: Iterable[str], weights: Path = SHIPPED_WEIGHTS) -> DistilledVgg:
    """Return the network with its weights in float32, frozen.

    Args:
        layers: the layers that it is to have.
        weights: a checkpoint of this network, by default the one that is shipped.

    Raises:
        ValueError: a layer does not exist in this network.
        WeightsUnavailableError: the file cannot be read, or holds something else.
    """
    network = DistilledVgg(layers)
    tensors = _read(weights).tensors
    try:
        network.load_state_dict({name: tensors[name].float() for name in network.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise _unreadable(weights, error) from error
    return network.eval().requires_grad_(False)


def _read(weights: Path) -> Checkpoint:
    """Return a checkpoint of this network.

    Raises:
        WeightsUnavailableError: the file cannot be read, or holds something else.
    """
    try:
        checkpoint = parse_checkpoint(weights.read_bytes())
    except (OSError, CheckpointError) as error:
        raise _unreadable(weights, error) from error
    if checkpoint.network != DISTILLED_VGG:
        raise _unreadable(weights, f"it is a checkpoint of the network {checkpoint.network}")
    return checkpoint


def _unreadable(weights: Path, reason: object) -> WeightsUnavailableError:
    return WeightsUnavailableError(
        f"The weights of the embedded loss network cannot be read from {weights}: {reason}"
    )
