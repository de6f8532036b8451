"""Loss networks to which an image, and the features of each layer, go on as in a mirror.

What is optimised itself, pixel by pixel, answers the zeros that a network pads its layers with even
from beyond a margin: with a line of odd colours where the margin mirrors its outer edge.
"""

from collections.abc import Collection
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.losses.distilled_vgg import EmbeddedNetwork
from stylebeam.transforms.losses.loss_network import interior_activations
from stylebeam.transforms.losses.vgg import Vgg

# Pixels around an image. In the fifth block, of stride 16, it is half a place wide, and nothing is
# cut off there.
_MARGIN = 8


class MirroredBorders(nn.Module):
    """A frozen loss network whose convolutions mirror what they take at its borders."""

    def __init__(self, network: EmbeddedNetwork | Vgg) -> None:
        """Take a network over: its convolutions of 3x3 are replaced."""
        super().__init__()
        self._network = network
        self.layers = network.layers
        for name, module in list(network.named_modules()):
            if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                network.set_submodule(name, _MirroredConvolution(module))

    def forward(self, images: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        """Return features as a `LossNetwork` does, of images with sides of 32 at least."""
        network = partial(self._network, layers=layers)
        return interior_activations(network, images, _MARGIN)

    def readout(self, layer: str) -> Tensor | None:
        """Return the network's."""
        return self._network.readout(layer)


class _MirroredConvolution(nn.Module):
    """A convolution of 3x3 with frozen weights."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight = convolution.weight
        self.bias = convolution.bias

    def forward(self, values: Tensor) -> Tensor:
        """Return features of the size of `values`, shape (B, C, H, W), each side 2 at least."""
        features: Tensor = _Convolve.apply(values, self.weight, self.bias)
        return features


class _Convolve(torch.autograd.Function):
    """The convolution of mirrored values, and its gradient by the values alone.

    autograd would keep the mirrored copy, for a gradient by the weights.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return F.conv2d(F.pad(values, (1,) * 4, mode="reflect"), weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        mirrored = F.conv_transpose2d(gradient, weight)
        for values in (mirrored, mirrored.mT):
            values[:, :, 2] += values[:, :, 0]
            values[:, :, -3] += values[:, :, -1]
        return mirrored[:, :, 1:-1, 1:-1], None, None
