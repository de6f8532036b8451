"""One network for many styles, each a small vector, that works at a quarter of the resolution."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.networks.blocks import convolve_blocks, upsample_blocks
from stylebeam.transforms.networks.layers import check_whole, convolution
from stylebeam.transforms.networks.style_network import STRIDE, Stage, StyleNetwork

# As in `stylebeam.transforms.networks.johnson`, and for the same reasons.
_TANH_SCALE = 150 / 255
_OUTPUT_DIVISOR = 4
# The features of an image of one colour differ by rounding alone, which a division by the root of
# much less than this would make visible.
_EPSILON = 1e-3


class MultiStyleNetwork(StyleNetwork):
    """Johnson's network at a quarter of the resolution, with conditional instance normalisation.

    A style is the scale and the shift of every normalisation (Dumoulin et al. 2017, "A Learned
    Representation for Artistic Style"): one vector, that is given beside the image and is no part
    of the network. A weighted mean of vectors is a blend of their styles.

    Each 4x4 block of pixels becomes the channels of one place, where all but the last convolutions
    work. Nearest-neighbour upsampling leads back, and leaves no grid (Odena et al. 2016,
    "Deconvolution and Checkerboard Artifacts"): pixels at one place of their blocks are normalised
    apart from those at other places, so that none can be brighter than the others on the whole.
    """

    peak_values = 70
    # Narrower than Johnson's, for speed.
    frame = 8
    head_reach = 1
    tail_reach = 3

    def __init__(self, channels: int = 64, blocks: int = 5) -> None:
        """Build the network with random weights.

        Args:
            channels: at a quarter of the resolution; 3/8 of them at half, 3/16 at the whole.
            blocks: residual blocks, of two convolutions each.

        Raises:
            ValueError: a value is no whole number, or too small.
        """
        super().__init__()
        check_whole("channels", channels, lowest=16, highest=1024)
        check_whole("blocks", blocks, lowest=1, highest=64)
        self.channels = channels
        half, whole = channels * 3 // 8, channels * 3 // 16
        self.first = nn.Conv2d(3 * STRIDE**2, channels, 3)
        self.residual = nn.ModuleList(convolution(channels, channels, 3) for _ in range(2 * blocks))
        self.to_half = nn.Conv2d(channels, half, 3)
        self.to_whole = nn.Conv2d(half, whole, 3)
        self.out = nn.Conv2d(whole, 3, 3)
        self._sizes = [channels] * (1 + 2 * blocks) + [half, whole]

    @property
    def style_size(self) -> int:
        """The length of a style's vector: a scale and a shift for each normalised channel."""
        return 2 * sum(self._sizes)

    def packed(self, framed: Tensor) -> Tensor:
        blocks = framed.unflatten(2, (-1, STRIDE)).unflatten(1, (-1, STRIDE))
        return blocks.transpose(2, 3).flatten(3)

    def head(self, styles: Tensor) -> list[Stage]:
        return [self._stage(styles, 0, self._first)]

    def body(self, styles: Tensor) -> list[tuple[Stage, Stage]]:
        stages = [
            self._stage(styles, 1 + number, convolve)
            for number, convolve in enumerate(self.residual)
        ]
        return list(zip(stages[::2], stages[1::2], strict=True))

    def tail(self, styles: Tensor) -> list[Stage]:
        position = 1 + len(self.residual)
        return [
            self._stage(styles, position, partial(self._up, self.to_half, 1), places=2**2),
            self._stage(
                styles, position + 1, partial(self._up, self.to_whole, 2), places=STRIDE**2
            ),
        ]

    def finish(self, x: Tensor) -> Tensor:
        x = convolve_blocks(x, self.out, side=STRIDE)
        return 0.5 + _TANH_SCALE * torch.tanh(x / _OUTPUT_DIVISOR)

    def _first(self, packed: Tensor) -> Tensor:
        # Its channels are each colour's pixels of a block, those of packed images each pixel's
        # colours.
        kernels = self.first.weight.unflatten(1, (3, STRIDE, STRIDE))
        kernels = kernels.permute(0, 2, 3, 1, 4, 5).flatten(1, 3)
        return F.conv2d(F.pad(packed, [1] * 4, mode="reflect"), kernels, self.first.bias)

    def _up(self, layer: nn.Conv2d, side: int, x: Tensor) -> Tensor:
        return upsample_blocks(x, layer, side)

    def _stage(
        self,
        styles: Tensor,
        position: int,
        convolve: Callable[[Tensor], Tensor],
        places: int = 1,
    ) -> Stage:
        """Return the stage of a convolution.

        Args:
            styles: vectors, each of a style.
            position: of the stage in the network.
            convolve: the convolution.
            places: how often its channels follow each other, with the same scale and shift.
        """
        affine = styles.split([2 * size for size in self._sizes], 1)[position]
        # The vector has what is added to a scale of 1, then the shift.
        scale, shift = (half.repeat(1, places) for half in affine.chunk(2, 1))
        return Stage(convolve, 1 + scale, shift, _EPSILON)
