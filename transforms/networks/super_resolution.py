"""The super-resolution network of Johnson et al. 2016."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.networks.blocks import convolve_to_blocks, pixels_of_blocks
from stylebeam.transforms.networks.layers import (
    ConvNorm,
    ResidualBlock,
    Upsampling,
    UpsamplingConvNorm,
    convolution,
)

MIN_SIDE = 5
"""The shortest side, in pixels, that the reflection padding accepts."""

_CHANNELS = 64
_BLOCKS = 4
# The last convolution sums 5,184 values; the first outputs shall be near the bicubic upsampling.
_OUTPUT_DIVISOR = 16
# Of pixels whose colours are computed together: more of them see less of the same features.
_LARGEST_BLOCK = 4


class SuperResolutionNetwork(nn.Module):
    """Four residual blocks at the low resolution, then doublings, with batch normalisation.

    Johnson et al. 2016, section 4.2, with reflection padding, and with the bicubic upsampling of
    the image added to the output, so that only what that misses is to be learned (Kim et al. 2016,
    "Accurate Image Super-Resolution Using Very Deep Convolutional Networks").
    """

    def __init__(self, factor: int = 4, upsampling: Upsampling = "transposed") -> None:
        """Build the network with random weights.

        Args:
            factor: 2, 4 or 8.
            upsampling: how each doubling is done, `UpsamplingConvNorm` says.

        Raises:
            ValueError: a value is none of those.
        """
        super().__init__()
        if factor not in (2, 4, 8):
            raise ValueError(f"factor is {factor!r}, not 2, 4 or 8")
        norm = nn.BatchNorm2d
        self.factor = factor
        self.first = ConvNorm(3, _CHANNELS, 9, norm=norm)
        self.residual = nn.Sequential(
            *(ResidualBlock(_CHANNELS, norm=norm) for _ in range(_BLOCKS))
        )
        self.up = nn.ModuleList(
            UpsamplingConvNorm(_CHANNELS, _CHANNELS, upsampling, norm=norm)
            for _ in range(int(math.log2(factor)))
        )
        self.out = convolution(_CHANNELS, 3, 9)

    def forward(self, images: Tensor) -> Tensor:
        """Return the images at `factor` times their size.

        Args:
            images: RGB in [0, 1], shape (B, 3, H, W), each side at least MIN_SIDE.

        Returns:
            RGB of shape (B, 3, factor H, factor W), to be clipped to [0, 1].
        """
        x = F.relu(self.first(2 * images - 1))
        x = self.residual(x)
        for layer in self.up:
            x = F.relu(layer(x))
        smooth = F.interpolate(images.float(), scale_factor=float(self.factor), mode="bicubic")
        side = min(self.factor, _LARGEST_BLOCK)
        blocks = convolve_to_blocks(x, self.out, side).permute(0, 2, 3, 1)
        return smooth + pixels_of_blocks(blocks, side).permute(0, 3, 1, 2) / _OUTPUT_DIVISOR
