"""The image transformation network of Johnson et al. 2016, and its separable forms."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transforms.networks.layers import (
    ConvNorm,
    ResidualBlock,
    Upsampling,
    UpsamplingConvNorm,
    convolution,
)

# As in Johnson et al.'s program: a little beyond [0, 1], so that black and white are reached where
# the hyperbolic tangent still has a gradient.
_TANH_SCALE = 150 / 255
# The width of what is stylised around an image and cut off again, in pixels. A network can tell the
# border of its picture by the padding, and learns to draw there what the painting has to have
# somewhere; a yellow edge, say. (The paper pads images too, by 40 pixels.)
_FRAME = 16
# Adam moves all 2,592 weights of an output channel at once, by the learning rate each; undivided,
# their sum would drive the hyperbolic tangent into saturation within a few steps.
_OUTPUT_DIVISOR = 16


class JohnsonNetwork(nn.Module):
    """The image transformation network of Johnson et al. 2016, with instance normalisation.

    Two convolutions of stride 2, five residual blocks and the way back up. Two choices of the
    years since replace the paper's: instance instead of batch normalisation (Ulyanov et al.
    2016), and reflection padding at every convolution. Nearest-neighbour upsampling before a
    convolution is a third; a transposed convolution, the paper's, leaves a checkerboard (Odena et
    al. 2016). The count of parameters, 1.68 million, is the same.

    With a channel multiplier its convolutions are depthwise separable (Pandey et al. 2018,
    "Computationally Efficient Approaches for Image Style Transfer").
    """

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

    def forward(self, images: Tensor) -> Tensor:
        """Return the stylised images.

        Args:
            images: RGB in [0, 1], shape (B, 3, H, W), each side at least MIN_SIDE.

        Returns:
            RGB of the same shape, to be clipped to [0, 1].
        """
        height, width = images.shape[-2:]
        x = F.pad(2 * images - 1, [_FRAME] * 4, mode="reflect")
        for layer in self.down:
            x = F.relu(layer(x))
        x = self.residual(x)
        for layer in self.up:
            x = F.relu(layer(x))
        stylized = 0.5 + _TANH_SCALE * torch.tanh(self.out(x) / _OUTPUT_DIVISOR)
        return stylized[..., _FRAME : _FRAME + height, _FRAME : _FRAME + width]
