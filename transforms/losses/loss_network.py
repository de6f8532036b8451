"""The loss network: a frozen network whose features are compared by the losses."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.losses.distilled_vgg import DistilledVgg, load_distilled_vgg
from stylebeam.transforms.losses.vgg import Vgg, load_vgg

LossNetworkName = Literal["embedded", "vgg16", "vgg19"]

# In pixels; a multiple of every loss network's stride at every layer.
_MARGIN = 16


class LossNetwork(Protocol):
    """A network that returns the features of images in named layers."""

    @property
    def layers(self) -> frozenset[str]:
        """The layers that the network can return."""

    def __call__(self, images: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        """Return the features of images, by layer.

        Args:
            images: RGB in [0, 1], shape (B, 3, H, W).
            layers: the layers to return; by default all.

        Returns:
            By layer, shape (B, C, H', W').
        """

    def readout(self, layer: str) -> Tensor | None:
        """Return the matrix, shape (C, C), that maps the features before a distance, or None."""


def load_loss_network(
    name: LossNetworkName,
    layers: Iterable[str],
    device: torch.device,
    precision: torch.dtype,
) -> DistilledVgg | Vgg:
    """Return a loss network with its weights, frozen.

    Args:
        name: `embedded`, the distilled VGG, is shipped; weights of the others are downloaded once.
        layers: the layers to return, such as `relu3_3`.
        device: where to compute.
        precision: of the weights and the computation.

    Raises:
        ValueError: the network does not have one of the layers.
        WeightsUnavailableError: the weights cannot be found or downloaded, or do not fit.
    """
    network: DistilledVgg | Vgg = (
        load_distilled_vgg(layers) if name == "embedded" else load_vgg(name, layers)
    )
    network.to(device, precision)
    return network.to(memory_format=torch.channels_last)


def check_layers(name: LossNetworkName, layers: Iterable[str]) -> None:
    """Check that a network has the layers, without loading its weights.

    Raises:
        ValueError: the network does not have one of the layers.
    """
    with torch.device("meta"):
        _ = DistilledVgg(layers) if name == "embedded" else Vgg(name, layers)


def vgg_channels(layer: str) -> int:
    """Return the number of channels of a layer of VGG; the distilled VGG may have fewer."""
    block = int(layer.removeprefix("conv").removeprefix("relu").removeprefix("pool")[0])
    return min(64 * 2 ** (block - 1), 512)


def interior_activations(
    network: Callable[[Tensor], Mapping[str, Tensor]], images: Tensor, margin: int = _MARGIN
) -> dict[str, Tensor]:
    """Return the features of images that are extended by reflection, without those of the margin.

    A loss network pads with zeros, which look like a dark frame around each image. A network that
    is trained with such a loss learns to answer the frame with a border of its own.

    Args:
        network: a loss network.
        images: RGB in [0, 1], shape (B, 3, H, W), each side larger than the margin.
        margin: how far images are extended on each side, in pixels.

    Returns:
        By layer name, shape (B, C, H', W').
    """
    padded = F.pad(images, (margin,) * 4, mode="reflect")
    activations = {}
    for layer, values in network(padded).items():
        activations[layer] = _Inside.apply(
            values, round(margin * values.shape[-1] / padded.shape[-1])
        )
    return activations


class _Inside(torch.autograd.Function):
    """A view without the margin. Unlike a slice's, its gradient keeps the memory format."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, margin: int) -> Tensor:
        ctx.margin = margin
        height, width = values.shape[2:]
        return values[:, :, margin : height - margin, margin : width - margin]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return F.pad(gradient, (ctx.margin,) * 4), None
