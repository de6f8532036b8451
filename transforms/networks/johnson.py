"""The image transformation network of Johnson et al. 2016, and its separable forms."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.networks.blocks import convolve_to_blocks
from stylebeam.transforms.networks.layers import (
    NORM_EPSILON,
    ConvNorm,
    ResidualBlock,
    Upsampling,
    UpsamplingConvNorm,
    convolution,
)
from stylebeam.transforms.networks.style_network import STRIDE, Stage, StyleNetwork

# As in Johnson et al.'s program: a little beyond [0, 1], so that black and white are reached where
# the hyperbolic tangent still has a gradient.
_TANH_SCALE = 150 / 255
# Adam moves all 2,592 weights of an output channel at once, by the learning rate each; undivided,
# their sum would drive the hyperbolic tangent into saturation within a few steps.
_OUTPUT_DIVISOR = 16


class JohnsonNetwork(StyleNetwork):
    """The image transformation network of Johnson et al. 2016, with instance normalisation.

    Two convolutions of stride 2, five residual blocks and the way back up. Two choices of the
    years since replace the paper's: instance instead of batch normalisation (Ulyanov et al.
    2016), and reflection padding at every convolution. Nearest-neighbour upsampling before a
    convolution is a third; a transposed convolution, the paper's, leaves a checkerboard (Odena et
    al. 2016). The count of parameters, 1.68 million, is the same.

    With a channel multiplier its convolutions are depthwise separable (Pandey et al. 2018,
    "Computationally Efficient Approaches for Image Style Transfer").
    """

    channels = 128
    peak_values = 160
    frame = 16
    # 4 pixels for a 9x9 convolution, then 1, 2 and so on: 7 pixels before the body, 8 after it.
    head_reach = 2
    tail_reach = 3

    def __init__(
        self, upsampling: Upsampling = "nearest", channel_multiplier: int | None = None
    ) -> None:
        """Build the network with random weights.

        Args:
            upsampling: how it comes back to the full resolution: by transposed convolutions, or
                by convolutions of the nearest-neighbour upsampling, or of that and the bilinear
                one beside each other.
            channel_multiplier: of depthwise separable convolutions, from 1 to 64; None for regular
                ones.

        Raises:
            ValueError: a value is none of those.
        """
        super().__init__()
        multiplier = channel_multiplier
        self.down = nn.ModuleList(
            [
                ConvNorm(3, 32, 9, 1, multiplier),
                ConvNorm(32, 64, 3, 2, multiplier),
                ConvNorm(64, 128, 3, 2, multiplier),
            ]
        )
        self.residual = nn.Sequential(*(ResidualBlock(128, multiplier) for _ in range(5)))
        self.up = nn.ModuleList(
            [
                UpsamplingConvNorm(128, 64, upsampling, multiplier),
                UpsamplingConvNorm(64, 32, upsampling, multiplier),
            ]
        )
        self.out = convolution(32, 3, 9, 1, multiplier)

    def head(self, styles: Tensor) -> list[Stage]:
        full, half, quarter = self.down
        return [_stage(full, 4), _stage(half, 2), _stage(quarter)]

    def body(self, styles: Tensor) -> list[tuple[Stage, Stage]]:
        return [(_stage(block.first), _stage(block.second)) for block in self.residual]

    def tail(self, styles: Tensor) -> list[Stage]:
        to_half, to_full = self.up
        # Of a blank page a normalisation leaves the shift alone.
        shifts = torch.cat([second.shift for _, second in self.body(styles)])
        flat = F.relu(self.head(styles)[-1].shift[0]) + shifts.sum(0)
        half = _stage(to_half, 2, flat=flat)
        return [half, _stage(to_full, 4, flat=F.relu(half.shift[0]))]

    def finish(self, x: Tensor) -> Tensor:
        made = convolve_to_blocks(x, self.out, STRIDE)
        return 0.5 + _TANH_SCALE * torch.tanh(made / _OUTPUT_DIVISOR)


def _stage(layer: Any, resolution: int = 1, **settings: Tensor) -> Stage:
    """Return a layer of a convolution and an instance normalisation as a stage."""
    scale, shift = layer.norm.weight[None], layer.norm.bias[None]
    convolve = partial(layer.convolve, **settings)
    return Stage(convolve, scale, shift, NORM_EPSILON, resolution)
