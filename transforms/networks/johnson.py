"""The image transformation network of Johnson et al. 2016, and its separable forms."""

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Upsampling = Literal["transposed", "nearest", "nearest_and_bilinear"]

# What is interpolated before a convolution; nothing is before a transposed one.
_INTERPOLATIONS: Mapping[Upsampling, tuple[str, ...]] = {
    "transposed": (),
    "nearest": ("nearest",),
    "nearest_and_bilinear": ("nearest", "bilinear"),
}

# As in Johnson et al.'s program: a little beyond [0, 1], so that black and white are reached where
# the hyperbolic tangent still has a gradient.
_TANH_SCALE = 150 / 255
# Adam moves all 2,592 weights of an output channel at once, by the learning rate each; undivided,
# their sum would drive the hyperbolic tangent into saturation within a few steps.
_OUTPUT_DIVISOR = 16


def convolution(
    channels_in: int,
    channels_out: int,
    kernel: int,
    stride: int = 1,
    channel_multiplier: int | None = None,
) -> nn.Module:
    """Return a convolution with reflection padding.

    Args:
        channels_in: that it takes.
        channels_out: that it returns.
        kernel: side of the kernel in pixels, odd.
        stride: in pixels.
        channel_multiplier: None for a regular convolution. A number makes it depthwise separable:
            each channel is convolved by so many kernels of its own, and a 1x1 convolution mixes
            what they return.
    """
    if channel_multiplier is None:
        return _padded(channels_in, channels_out, kernel, stride, groups=1)
    channels = channels_in * channel_multiplier
    return nn.Sequential(
        _padded(channels_in, channels, kernel, stride, groups=channels_in),
        nn.Conv2d(channels, channels_out, 1),
    )


def _padded(
    channels_in: int, channels_out: int, kernel: int, stride: int, groups: int
) -> nn.Conv2d:
    return nn.Conv2d(
        channels_in,
        channels_out,
        kernel,
        stride,
        padding=kernel // 2,
        padding_mode="reflect",
        groups=groups,
    )


class ConvNorm(nn.Module):
    """A convolution and instance normalisation."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        channel_multiplier: int | None = None,
    ) -> None:
        super().__init__()
        self.conv = convolution(channels_in, channels_out, kernel, stride, channel_multiplier)
        self.norm = nn.InstanceNorm2d(channels_out, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside an identity connection, without a rectifier after the sum."""

    def __init__(self, channels: int, channel_multiplier: int | None) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, 3, channel_multiplier=channel_multiplier)
        self.second = ConvNorm(channels, channels, 3, channel_multiplier=channel_multiplier)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x)))


class UpsamplingConvNorm(nn.Module):
    """Twice the resolution by a 3x3 convolution, and instance normalisation."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        upsampling: Upsampling,
        channel_multiplier: int | None,
    ) -> None:
        super().__init__()
        self._modes = _INTERPOLATIONS[upsampling]
        if self._modes:
            self.conv = convolution(
                len(self._modes) * channels_in,
                channels_out,
                3,
                channel_multiplier=channel_multiplier,
            )
        else:
            self.conv = nn.ConvTranspose2d(
                channels_in, channels_out, 3, stride=2, padding=1, output_padding=1
            )
        self.norm = nn.InstanceNorm2d(channels_out, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        if self._modes:
            x = torch.cat(
                [F.interpolate(x, scale_factor=2.0, mode=mode) for mode in self._modes], 1
            )
        return self.norm(self.conv(x))


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
            channel_multiplier: of depthwise separable convolutions, at least 1; None for regular
                ones.

        Raises:
            ValueError: a value is none of those.
        """
        super().__init__()
        if upsampling not in _INTERPOLATIONS:
            raise ValueError(f"upsampling is {upsampling!r}, not {', '.join(_INTERPOLATIONS)}")
        multiplier = channel_multiplier
        if multiplier is not None and (type(multiplier) is not int or multiplier < 1):
            raise ValueError(f"channel_multiplier is {multiplier!r}, not a whole number from 1 up")
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
        x = 2 * images - 1
        for layer in self.down:
            x = F.relu(layer(x))
        x = self.residual(x)
        for layer in self.up:
            x = F.relu(layer(x))
        stylized = 0.5 + _TANH_SCALE * torch.tanh(self.out(x) / _OUTPUT_DIVISOR)
        # Each stride of 2 rounds an odd side up; the surplus lies at the right and the bottom.
        return stylized[..., :height, :width]
