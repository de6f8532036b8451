"""A network for many styles, each a small vector, that works at a quarter of the resolution."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.networks.layers import check_integer, convolution
from stylebeam.transforms.networks.space_to_depth import (
    convolve_space_to_depth,
    upsample_space_to_depth,
)
from stylebeam.transforms.networks.style_network import STRIDE, Stage, StyleNetwork

# As in `stylebeam.transforms.networks.johnson`, for the same reasons.
_TANH_SCALE = 150 / 255
_OUTPUT_DIVISOR = 4
# The features of a constant image vary only by rounding. With a much smaller epsilon, normalization
# would make that visible.
EPSILON = 1e-3
"""Added to the variance in the normalizations."""


class MultiStyleNetwork(StyleNetwork):
    """Johnson's network at a quarter of the resolution, with conditional instance normalization.

    A style is the scale and shift of every normalization (Dumoulin et al. 2017, "A Learned
    Representation for Artistic Style"): one vector, which is an input of the network beside the
    image. A weighted mean of vectors is a blend of their styles.

    The input is converted by space to depth, in blocks of 4x4 pixels, and all but the last
    convolutions work at that resolution. Upsampling is nearest neighbor, and it leaves no grid
    (Odena et al. 2016, "Deconvolution and Checkerboard Artifacts"): each pixel position of the
    blocks is normalized separately, so that none can be brighter than the others on average.
    """

    peak_values = 70
    # Narrower than Johnson's, for speed.
    frame = 8
    head_reach = 1
    tail_reach = 3

    def __init__(self, channels: int = 64, blocks: int = 5) -> None:
        """Build the network with random weights.

        Args:
            channels: number of channels at a quarter of the resolution, from 16 to 1024; 3/8 of it
                at half and 3/16 at full resolution.
            blocks: number of residual blocks, of two convolutions each, from 1 to 64.

        Raises:
            ValueError: a value is not an integer in its range.
        """
        super().__init__()
        check_integer("channels", channels, lowest=16, highest=1024)
        check_integer("blocks", blocks, lowest=1, highest=64)
        self.channels = channels
        half, whole = channels * 3 // 8, channels * 3 // 16
        self.first = nn.Conv2d(3 * STRIDE**2, channels, 3)
        self.residual = nn.ModuleList(
            convolution(channels, channels, 3, dilation=self.dilation(number // 2))
            for number in range(2 * blocks)
        )
        self.to_half = nn.Conv2d(channels, half, 3)
        self.to_whole = nn.Conv2d(half, whole, 3)
        self.out = nn.Conv2d(whole, 3, 3)
        self._sizes = [channels] * (1 + 2 * blocks) + [half, whole]

    @property
    def style_size(self) -> int:
        """The length of a style's vector: a scale and a shift for each normalized channel."""
        return 2 * sum(self._sizes)

    def dilation(self, block: int) -> int:
        """Return the distance of the taps of a residual block's kernels, in positions."""
        return 1

    def packed(self, framed: Tensor) -> Tensor:
        blocks = framed.unflatten(2, (-1, STRIDE)).unflatten(1, (-1, STRIDE))
        return blocks.transpose(2, 3).flatten(3)

    def head(self, styles: Tensor) -> list[Stage]:
        return [self._stage(styles, 0, self._first)]

    def body(self, styles: Tensor) -> list[tuple[Stage, Stage]]:
        stages = [
            self._stage(styles, 1 + number, convolve)._replace(reach=self.dilation(number // 2))
            for number, convolve in enumerate(self.residual)
        ]
        return list(zip(stages[::2], stages[1::2], strict=True))

    def tail(self, styles: Tensor) -> list[Stage]:
        position = 1 + len(self.residual)
        return [
            self._stage(styles, position, partial(self._up, self.to_half, 1), repeats=2**2),
            self._stage(
                styles, position + 1, partial(self._up, self.to_whole, 2), repeats=STRIDE**2
            ),
        ]

    def finish(self, x: Tensor, styles: Tensor) -> Tensor:
        x = convolve_space_to_depth(x, self.out, side=STRIDE)
        return 0.5 + _TANH_SCALE * torch.tanh(x / _OUTPUT_DIVISOR)

    def _first(self, packed: Tensor) -> Tensor:
        # In the kernels, the channels of a block are ordered by color, then pixel. In packed images
        # they are ordered by pixel, then color.
        kernels = self.first.weight.unflatten(1, (3, STRIDE, STRIDE))
        kernels = kernels.permute(0, 2, 3, 1, 4, 5).flatten(1, 3)
        return F.conv2d(F.pad(packed, [1] * 4, mode="reflect"), kernels, self.first.bias)

    def _up(self, layer: nn.Conv2d, side: int, x: Tensor) -> Tensor:
        return upsample_space_to_depth(x, layer, side)

    def _stage(
        self,
        styles: Tensor,
        position: int,
        convolve: Callable[[Tensor], Tensor],
        repeats: int = 1,
    ) -> Stage:
        """Return the stage of a convolution.

        Args:
            styles: vectors of styles, shape (B, style_size).
            position: index of the stage in the network.
            convolve: the convolution.
            repeats: number of pixels in a block of its output, which have the same scale and shift.
        """
        first = 2 * sum(self._sizes[:position])
        affine = styles[:, first : first + 2 * self._sizes[position]]
        # The vector holds the scale minus 1, then the shift.
        scale, shift = (half.repeat(1, repeats) for half in affine.chunk(2, 1))
        return Stage(convolve, 1 + scale, shift, EPSILON)
