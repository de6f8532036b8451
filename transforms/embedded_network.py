"""The embedded loss network: VGG distilled to a network small enough to ship.

A small encoder with features F_s, and for each layer of VGG a linear map A, were trained to predict
the activations of that layer: A F_s ~ F (`transforms.distillation`). Distances in VGG's features
then need neither VGG nor A. With the QR decomposition A = Q R, Q having orthonormal columns,

    ||A F_s - A P_s||^2 = ||R F_s - R P_s||^2
    ||A (G_s - A_s) A^T||_F^2 = ||R (G_s - A_s) R^T||_F^2

so that R F_s, of as few channels as the encoder has, serves as the activations, and every loss is
computed on it as on VGG's own. Only R is kept, a square root of A^T A.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transforms.files import write_whole
from transforms.vgg import VggName, WeightsUnavailableError, normalize

SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "loss_network" / "embedded.safetensors"

# Output channels of the 3x3 convolutions, block by block; each block has half the resolution of the
# one before. At full resolution a channel costs the most and explains the least.
_WIDTHS = ((16, 24), (48, 64), (96, 96, 96), (192, 192, 192), (192,))

# The convolution that stands for a layer of VGG. The first of a block is left to prepare: a layer
# of VGG has four times the channels, and more than one small rectified convolution explains.
_CONVOLUTION_OF_LAYER = {
    "relu1_1": "conv1_2",
    "relu1_2": "conv1_2",
    "relu2_1": "conv2_2",
    "relu2_2": "conv2_2",
    "relu3_1": "conv3_2",
    "relu3_3": "conv3_3",
    "relu4_1": "conv4_2",
    "relu4_2": "conv4_3",
    "relu4_3": "conv4_3",
    "relu5_1": "conv5_1",
}

TEACHER_LAYERS: Mapping[VggName, tuple[str, ...]] = {
    "vgg19": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1"),
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
}
"""Which VGG a layer of the embedded network stands for: the one whose recipes use that layer."""

LAYERS = tuple(sorted(_CONVOLUTION_OF_LAYER))
"""The layers that the embedded network has."""

_FORMAT = "stylebeam-loss-network-1"


class EmbeddedNetwork(nn.Module):
    """A small network that returns what stands for the activations of chosen layers of VGG."""

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
        deepest = max(_CONVOLUTION_OF_LAYER[layer] for layer in self.layers)
        self.convolutions = nn.ModuleDict()
        channels = 3
        for block, widths in enumerate(_WIDTHS, start=1):
            for position, width in enumerate(widths, start=1):
                name = f"conv{block}_{position}"
                if name <= deepest:
                    self.convolutions[name] = nn.Conv2d(channels, width, 3, padding=1)
                channels = width
        self.readouts = nn.ParameterDict(
            {layer: torch.eye(channels_of(layer)) for layer in sorted(self.layers)}
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return what stands for the activations of the chosen layers.

        Args:
            images: RGB in [0, 1], shape (B, 3, H, W).

        Returns:
            By layer name, tensors of shape (B, C, H', W'), with fewer channels than VGG's, on which
            the losses of `transforms.losses` take the values that they take on VGG's activations,
            as far as the network knows them.
        """
        features = self.encode(images)
        return {layer: linear(features[layer], self.readouts[layer]) for layer in self.layers}

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """Return the features from which the chosen layers are read.

        Args:
            images: RGB in [0, 1], shape (B, 3, H, W).

        Returns:
            By layer name, features of shape (B, C, H', W').
        """
        values = normalize(images).to(next(self.convolutions.parameters()).dtype)
        features: dict[str, Tensor] = {}
        for name, convolution in self.convolutions.items():
            if name.endswith("_1") and features:
                values = F.avg_pool2d(values, 2)
            values = F.relu(convolution(values))
            features[name] = values
        return {layer: features[_CONVOLUTION_OF_LAYER[layer]] for layer in self.layers}


def linear(features: Tensor, matrix: Tensor) -> Tensor:
    """Multiply the features at every place, shape (B, C, H, W), by a matrix, shape (C', C)."""
    return F.conv2d(features, matrix[:, :, None, None])


def channels_of(layer: str) -> int:
    """Return how many channels stand for a layer."""
    block, position = _CONVOLUTION_OF_LAYER[layer].removeprefix("conv").split("_")
    return _WIDTHS[int(block) - 1][int(position) - 1]


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


def save_embedded_network(network: EmbeddedNetwork, about: Mapping[str, Any], path: Path) -> None:
    """Write the network, its tensors as float16, whole or not at all.

    Args:
        network: with all of its layers.
        about: plain values that say how it was made.
        path: the file.

    Raises:
        OSError: it cannot be written.
    """
    metadata = {"format": _FORMAT, "about": json.dumps(about)}
    tensors = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in network.state_dict().items()
    }
    write_whole(path, safetensors.torch.save(tensors, metadata))


def load_embedded_network(
    layers: Iterable[str], weights: Path = SHIPPED_WEIGHTS
) -> EmbeddedNetwork:
    """Return the network with its weights in float32, frozen.

    Args:
        layers: the layers that are wanted.
        weights: a file that `save_embedded_network` wrote; by default the one that is shipped.

    Raises:
        ValueError: a layer does not exist in this network.
        WeightsUnavailableError: the file cannot be read or holds something else.
    """
    network = EmbeddedNetwork(layers)
    try:
        tensors = safetensors.torch.load_file(weights)
        chosen = {name: tensors[name].float() for name in network.state_dict()}
        network.load_state_dict(chosen)
    except (OSError, safetensors.SafetensorError, KeyError, RuntimeError) as error:
        raise WeightsUnavailableError(
            f"The weights of the embedded loss network cannot be read from {weights}: {error}"
        ) from error
    return network.eval().requires_grad_(False)
