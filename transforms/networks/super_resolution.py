"""The super-resolution network of Johnson et al. 2016."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.networks.layers import (
    ConvNorm,
    ResidualBlock,
    Upsampling,
    UpsamplingConvNorm,
    convolution,
)
from stylebeam.transforms.networks.space_to_depth import convolve_to_depth, depth_to_space

MIN_SIDE = 5
"""The shortest side of an image, in pixels, that the reflection padding accepts."""

_CHANNELS = 64
_BLOCKS = 4
# The last convolution sums 5,184 values; with random weights, the output should be close to bicubic
# upsampling.
_OUTPUT_DIVISOR = 16
# The side of the largest block of pixels whose colors are computed together: the pixels of larger
# blocks depend on fewer inputs in common.
_LARGEST_BLOCK = 4


class SuperResolutionNetwork(nn.Module):
    """Four residual blocks at low resolution, then upsampling by 2, with batch normalization.

    It is the network of Johnson et al. 2016, section 4.2, with reflection padding. It predicts the
    difference from bicubic upsampling (Kim et al. 2016, "Accurate Image Super-Resolution Using Very
    Deep Convolutional Networks").
    """

    def __init__(self, factor: int = 4, upsampling: Upsampling = "transposed") -> None:
        """Build the network with random weights.

        Args:
            factor: 2, 4 or 8.
            upsampling: passed to `UpsamplingConvNorm`.

        Raises:
            ValueError: the factor or the upsampling does not exist.
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
        """Return the images enlarged by `factor`.

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
        blocks = convolve_to_depth(x, self.out, side).permute(0, 2, 3, 1)
        return smooth + depth_to_space(blocks, side).permute(0, 3, 1, 2) / _OUTPUT_DIVISOR
