"""The image transformation network of Johnson et al. 2016, and its depthwise separable variants."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.networks.layers import (
    NORM_EPSILON,
    ConvNorm,
    ResidualBlock,
    Upsampling,
    UpsamplingConvNorm,
    convolution,
)
from stylebeam.transforms.networks.space_to_depth import convolve_to_depth
from stylebeam.transforms.networks.style_network import STRIDE, Stage, StyleNetwork

# As in the program of Johnson et al.: the range of the output is a little larger than [0, 1], so
# that tanh is not saturated at black and white.
_TANH_SCALE = 150 / 255
# Adam changes each of the 2,592 weights of an output channel by about the learning rate. Without
# the divisor, the sum of the changes would saturate tanh within a few steps.
_OUTPUT_DIVISOR = 16


class JohnsonNetwork(StyleNetwork):
    """The image transformation network of Johnson et al. 2016, with instance normalization.

    It has two convolutions of stride 2, five residual blocks and two upsampling layers. It differs
    from the paper in instance instead of batch normalization (Ulyanov et al. 2016), in reflection
    padding at every convolution and, by default, in nearest-neighbor upsampling before a
    convolution: transposed convolutions, as in the paper, leave a checkerboard (Odena et al. 2016).
    The number of parameters, 1.68 million, is the same.

    With a channel multiplier, its convolutions are depthwise separable (Pandey et al. 2018,
    "Computationally Efficient Approaches for Image Style Transfer").
    """

    channels = 128
    peak_values = 160
    frame = 16
    # In pixels: 7 before the body (4 for the 9x9 convolution, then 1 and 2) and 8 after it.
    head_reach = 2
    tail_reach = 3

    def __init__(
        self, upsampling: Upsampling = "nearest", channel_multiplier: int | None = None
    ) -> None:
        """Build the network with random weights.

        Args:
            upsampling: passed to `UpsamplingConvNorm`.
            channel_multiplier: of depthwise separable convolutions, from 1 to 64; None for regular
                ones.

        Raises:
            ValueError: the upsampling does not exist, or the multiplier is out of range.
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
        # In a constant image, only the shifts are left after normalization.
        shifts = torch.cat([second.shift for _, second in self.body(styles)])
        constant = F.relu(self.head(styles)[-1].shift[0]) + shifts.sum(0)
        half = _stage(to_half, 2, constant=constant)
        return [half, _stage(to_full, 4, constant=F.relu(half.shift[0]))]

    def finish(self, x: Tensor, styles: Tensor) -> Tensor:
        x = convolve_to_depth(x, self.out, STRIDE)
        return 0.5 + _TANH_SCALE * torch.tanh(x / _OUTPUT_DIVISOR)


def _stage(layer: Any, resolution: int = 1, **settings: Tensor) -> Stage:
    """Return a layer of a convolution and an instance normalization as a stage."""
    scale, shift = layer.norm.weight[None], layer.norm.bias[None]
    convolve = partial(layer.convolve, **settings)
    return Stage(convolve, scale, shift, NORM_EPSILON, resolution)
