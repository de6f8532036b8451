"""The distilled VGG: VGG-19 compressed to a loss network small enough to ship.

It has VGG-19's convolutions: the first three with fewer channels, the others factored into a 1x1
convolution that reduces the channels, a 3x3 convolution, and a 1x1 convolution that restores the
channels (Kim et al. 2016, "Compression of Deep Convolutional Neural Networks for Fast and Low Power
Mobile Applications").

In blocks 3 to 5 its features F_s approximate VGG's activations F. In the first two blocks it has
fewer channels, and a linear map A predicts the activations: A F_s ~ F. Distances between predicted
activations do not need A itself. With the QR decomposition A = Q R, where Q has orthonormal
columns,

    ||A F_s - A P_s||^2 = ||R F_s - R P_s||^2
    ||A (G_s - A_s) A^T||_F^2 = ||R (G_s - A_s) R^T||_F^2

so that only R is stored, the layer's readout, which is a square root of A^T A and has as few
channels as F_s. `stylebeam.transforms.distillation` trains the network.

Configs and files call it `embedded`.
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
    misfit,
    parse_checkpoint,
    read_checkpoint_file,
    save_checkpoint,
)
from stylebeam.transforms.losses.pooling import average_pool
from stylebeam.transforms.losses.vgg import WeightsUnavailableError, normalize

SHIPPED_WEIGHTS = Path(__file__).parents[1] / "weights" / "loss_network" / "embedded.safetensors"


class Width(NamedTuple):
    """The size of a convolution.

    Attributes:
        channels: of the output.
        ranks: input and output channels of the 3x3 convolution between two 1x1 convolutions; None
            for a single 3x3 convolution.
    """

    channels: int
    ranks: tuple[int, int] | None = None


# A channel is most expensive at high resolution, and least useful there. The input that a
# convolution uses and its output before the ReLU have a much lower rank than the output after the
# ReLU, so a factored convolution can keep VGG's channels.
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

There is no conv3_3: conv3_4 is predicted well enough without it.
"""

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")
"""The layers that the network can return: the layers of VGG-19 that Gatys et al. 2016 use."""

READ_LAYERS = ("relu1_1", "relu2_1")
"""The layers with a readout."""


class DistilledVgg(nn.Module):
    """A small network with features that replace the activations of some layers of VGG-19."""

    def __init__(self, layers: Iterable[str] = LAYERS) -> None:
        """Build the network with random weights, up to the deepest of the layers.

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
        """Return the features of layers.

        Args:
            images: RGB in [0, 1], shape (B, 3, H, W).
            layers: a subset of the network's layers; by default all.

        Returns:
            By layer name, features of shape (B, C, H', W'). Multiply them by the layer's `readout`.
        """
        values = normalize(images).to(next(self.convolutions.parameters()).dtype)
        requested = self.layers if layers is None else layers
        features: dict[str, Tensor] = {}
        for name, convolution in self.convolutions.items():
            if halves_the_resolution(name):
                values = average_pool(values)
            # Nothing else uses the output of the convolution.
            values = F.relu(convolution(values), inplace=True)
            layer = name.replace("conv", "relu")
            if layer in requested:
                features[layer] = values
            if len(features) == len(requested):
                break
        return features

    def readout(self, layer: str) -> Tensor | None:
        """Return the matrix R, shape (C, C), that maps a layer's features before a distance.

        None means the identity: the layer has VGG's own channels.
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
    """Say whether a pooling precedes a convolution, as it does in each block after the first."""
    return convolution.endswith("_1") and convolution != "conv1_1"


def convolution_of(layer: str) -> str:
    """Return the name of the convolution before a layer."""
    return layer.replace("relu", "conv")


def linear(features: Tensor, matrix: Tensor) -> Tensor:
    """Multiply the features at each position, shape (B, C, H, W), by a matrix, shape (C', C)."""
    return F.conv2d(features, matrix[:, :, None, None])


def channels_of(layer: str) -> int:
    """Return the number of channels of a layer."""
    return WIDTHS[convolution_of(layer)].channels


def readout_of(linear_map: Tensor) -> Tensor:
    """Return the readout for a linear map from features to a layer's activations.

    It is R sqrt(C_s / C), with A = Q R: losses divide by the number of channels, which is C for
    VGG's layer and C_s here.

    Args:
        linear_map: A, shape (C, C_s), with C at least C_s.

    Returns:
        Upper triangular, shape (C_s, C_s).
    """
    channels, small_channels = linear_map.shape
    return torch.linalg.qr(linear_map).R * (small_channels / channels) ** 0.5


def save_distilled_vgg(network: DistilledVgg, about: Mapping[str, Any], path: Path) -> None:
    """Write the network to a file in float16, atomically.

    Args:
        network: with all of its layers.
        about: plain values that describe its training.
        path: the file.

    Raises:
        OSError: the file cannot be written.
    """
    checkpoint = Checkpoint(DISTILLED_VGG, network.state_dict(), {}, training=dict(about))
    save_checkpoint(checkpoint, path)


def about_distilled_vgg(weights: Path = SHIPPED_WEIGHTS) -> dict[str, Any]:
    """Return the description of a network's training that `save_distilled_vgg` wrote.

    Args:
        weights: a file of `save_distilled_vgg`; by default the shipped one.

    Raises:
        WeightsUnavailableError: the file cannot be read or has another format.
    """
    return _read(weights).training


def load_distilled_vgg(layers: Iterable[str], weights: Path = SHIPPED_WEIGHTS) -> DistilledVgg:
    """Return the network with its weights in float32, frozen.

    Args:
        layers: the layers to return.
        weights: a file of `save_distilled_vgg`; by default the shipped one.

    Raises:
        ValueError: a layer does not exist in this network.
        WeightsUnavailableError: the file cannot be read or has another format.
    """
    network = DistilledVgg(layers)
    tensors = _read(weights).tensors
    expected = network.state_dict()
    # Fewer layers need fewer tensors.
    used = {name: tensors[name] for name in expected if name in tensors}
    if mistake := misfit(used, expected):
        raise _unreadable(weights, mistake)
    network.load_state_dict({name: tensor.float() for name, tensor in used.items()})
    return network.eval().requires_grad_(False)


def _read(weights: Path) -> Checkpoint:
    """Return a checkpoint of this network.

    Raises:
        WeightsUnavailableError: the file cannot be read, or holds something else.
    """
    try:
        checkpoint = parse_checkpoint(read_checkpoint_file(weights))
    except (OSError, CheckpointError) as error:
        raise _unreadable(weights, error) from error
    if checkpoint.network != DISTILLED_VGG:
        raise _unreadable(weights, f"it is a checkpoint of the network {checkpoint.network}")
    return checkpoint


def _unreadable(weights: Path, reason: object) -> WeightsUnavailableError:
    return WeightsUnavailableError(
        f"The weights of the distilled VGG (loss_network: embedded) cannot be read from {weights}:"
        f" {reason}"
    )
