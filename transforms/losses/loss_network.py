"""The loss network: the fixed network in whose features images are compared."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.losses.distilled_vgg import DistilledVgg, load_distilled_vgg
from stylebeam.transforms.losses.vgg import Vgg, load_vgg

LossNetworkName = Literal["embedded", "vgg16", "vgg19"]

# Pixels around an image; a multiple of every loss network's stride at every layer.
_MARGIN = 16


class LossNetwork(Protocol):
    """What losses are computed with."""

    @property
    def layers(self) -> frozenset[str]:
        """The layers that it returns."""

    def __call__(self, images: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        """Return by layer features of shape (B, C, H', W') of RGB in [0, 1], shape (B, 3, H, W).

        They are those of `layers`, by default of all that it has.
        """

    def readout(self, layer: str) -> Tensor | None:
        """Return the matrix, shape (C, C), that features are multiplied by, None for none."""


def load_loss_network(
    name: LossNetworkName,
    layers: Iterable[str],
    device: torch.device,
    precision: torch.dtype,
) -> DistilledVgg | Vgg:
    """Return a loss network with its weights, frozen.

    Args:
        name: which network; `embedded` is shipped, the weights of the others are downloaded once.
        layers: the layers whose activations are wanted, such as `relu3_3`.
        device: where it computes.
        precision: in which it computes.

    Raises:
        ValueError: a layer does not exist in this network.
        WeightsUnavailableError: the weights are not there and cannot be downloaded, or do not fit.
    """
    network: DistilledVgg | Vgg = (
        load_distilled_vgg(layers) if name == "embedded" else load_vgg(name, layers)
    )
    network.to(device, precision)
    return network.to(memory_format=torch.channels_last)


def check_layers(name: LossNetworkName, layers: Iterable[str]) -> None:
    """Find layers that a network has not, without its weights.

    Raises:
        ValueError: a layer does not exist in this network.
    """
    with torch.device("meta"):
        _ = DistilledVgg(layers) if name == "embedded" else Vgg(name, layers)


def vgg_channels(layer: str) -> int:
    """Return how many channels a layer of VGG has, which may be fewer in the embedded network."""
    block = int(layer.removeprefix("conv").removeprefix("relu").removeprefix("pool")[0])
    return min(64 * 2 ** (block - 1), 512)


def interior_activations(
    network: Callable[[Tensor], Mapping[str, Tensor]], images: Tensor, margin: int = _MARGIN
) -> dict[str, Tensor]:
    """Return the activations of images that seem to go on beyond their borders.

    The loss network pads with zeros, a dark frame around each image. A network that is judged with
    it learns to answer the frame, and draws a border of its own.

    Args:
        network: a loss network.
        images: RGB in [0, 1], shape (B, 3, H, W), each side larger than the margin.
        margin: how far they go on, in pixels.

    Returns:
        By layer name, activations of shape (B, C, H', W').
    """
    padded = F.pad(images, (margin,) * 4, mode="reflect")
    activations = {}
    for layer, values in network(padded).items():
        activations[layer] = _Inside.apply(
            values, round(margin * values.shape[-1] / padded.shape[-1])
        )
    return activations


class _Inside(torch.autograd.Function):
    """A view without the margin; its gradient keeps the memory format, that of a slice does not."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, margin: int) -> Tensor:
        ctx.margin = margin
        height, width = values.shape[2:]
        return values[:, :, margin : height - margin, margin : width - margin]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return F.pad(gradient, (ctx.margin,) * 4), None
