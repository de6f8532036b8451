"""Loss networks that treat the border of an image like its inside.

A loss network pads with zeros, which look like a dark frame around each image. Images that are
made to please such a network answer the frame with a border of their own.
"""

from collections.abc import Collection
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.losses.distilled_vgg import DistilledVgg
from stylebeam.transforms.losses.loss_network import LossNetwork, interior_activations
from stylebeam.transforms.losses.vgg import Vgg

# In pixels, a multiple of every loss network's stride at every layer.
_MARGIN = 16
# Enough where convolutions reflect too. In the fifth block, whose stride is 16, this is half a
# position, and nothing is cut off.
_SMALL_MARGIN = 8


class ReflectedMargin(nn.Module):
    """A loss network that extends images by reflection, and returns features of the inside."""

    def __init__(self, network: LossNetwork, margin: int = _MARGIN) -> None:
        """Wrap a network.

        Args:
            network: any loss network.
            margin: how far images are extended on each side, in pixels.
        """
        super().__init__()
        self._network = network
        self._margin = margin

    @property
    def layers(self) -> frozenset[str]:
        """The layers that the network can return."""
        return self._network.layers

    def forward(self, images: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        """Return features by layer, as a `LossNetwork` does.

        Args:
            images: RGB in [0, 1], shape (B, 3, H, W), each side larger than the margin.
            layers: the layers to return; by default all.
        """
        network = partial(self._network, layers=layers)
        return interior_activations(network, images, self._margin)

    def readout(self, layer: str) -> Tensor | None:
        """Return the network's readout of a layer."""
        return self._network.readout(layer)


class MirroredBorders(ReflectedMargin):
    """A frozen loss network whose convolutions pad by reflection too, with a smaller margin.

    Needed where pixels themselves are optimized: they answer zeros in the padding of a layer even
    from beyond a margin, with a line of odd colors where the margin reflects its outer edge. Sides
    of images must be at least 32.
    """

    def __init__(self, network: DistilledVgg | Vgg) -> None:
        """Wrap a network, and replace its 3x3 convolutions in place."""
        super().__init__(network, _SMALL_MARGIN)
        for name, module in list(network.named_modules()):
            if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                network.set_submodule(name, _ReflectingConvolution(module))


class _ReflectingConvolution(nn.Module):
    """A 3x3 convolution with frozen weights that pads by reflection."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight = convolution.weight
        self.bias = convolution.bias

    def forward(self, values: Tensor) -> Tensor:
        """Return features of the size of `values`, shape (B, C, H, W), each side at least 2."""
        features: Tensor = _Convolve.apply(values, self.weight, self.bias)
        return features


class _Convolve(torch.autograd.Function):
    """The convolution of padded values, and its gradient with respect to the values alone.

    autograd would keep the padded copy for a gradient with respect to the weights.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return F.conv2d(F.pad(values, (1,) * 4, mode="reflect"), weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        padded = F.conv_transpose2d(gradient, weight)
        for values in (padded, padded.mT):
            values[:, :, 2] += values[:, :, 0]
            values[:, :, -3] += values[:, :, -1]
        return padded[:, :, 1:-1, 1:-1], None, None
