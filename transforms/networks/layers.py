"""Layers of the networks: convolutions, regular or depthwise separable, and upsampling."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Upsampling = Literal["transposed", "nearest", "nearest_and_bilinear"]

# The interpolations whose results are convolved; none for a transposed convolution.
_INTERPOLATIONS: Mapping[Upsampling, tuple[str, ...]] = {
    "transposed": (),
    "nearest": ("nearest",),
    "nearest_and_bilinear": ("nearest", "bilinear"),
}

NORM_EPSILON = 1e-5
"""Added to the variance in the normalizations of the networks from papers."""

Norm = Callable[[int], nn.Module]
"""Builds a normalization layer from its number of channels."""


def instance_norm(features: Tensor, scale: Tensor, shift: Tensor, epsilon: float) -> Tensor:
    """Normalize each channel of each image, then scale and shift it.

    Args:
        features: of shape (B, C, H, W), with more than one pixel.
        scale: for each image or for all, shape (B, C) or (1, C).
        shift: of the same shape.
        epsilon: added to the variance.
    """
    # Batch normalization of single images is faster, but its sums, and thus the last bits of its
    # results, depend on the number of threads.
    if len(scale) == 1:
        return F.instance_norm(features, weight=scale[0], bias=shift[0], eps=epsilon)
    normalized = F.instance_norm(features, eps=epsilon)
    scale, shift = (affine.to(features.dtype)[:, :, None, None] for affine in (scale, shift))
    return torch.addcmul(shift, normalized, scale)


class InstanceNorm(nn.Module):
    """The scale and shift of an instance normalization.

    The normalization itself is in `stylebeam.transforms.networks.style_network`, where it can use
    the statistics of a whole image for a tile of it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))


class SeparableConvolution(nn.Module):
    """A depthwise convolution with several kernels per channel, then a 1x1 convolution.

    Both are linear, so together they equal a regular convolution, whose kernel from channel c to
    channel o is the sum over the depthwise kernels d_k of c of p_ok d_k, with p the weights of the
    1x1 convolution. With two or more kernels per channel, the regular convolution is faster: a
    depthwise convolution is limited by memory bandwidth.

    Attributes:
        depthwise: the convolution of each channel.
        pointwise: the 1x1 convolution.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int, multiplier: int
    ) -> None:
        """Build the layer with random weights.

        Args:
            channels_in: number of input channels.
            channels_out: number of output channels.
            kernel: side of the depthwise kernels in pixels, odd.
            stride: in pixels.
            multiplier: number of depthwise kernels per channel.
        """
        super().__init__()
        channels = channels_in * multiplier
        self.depthwise = _padded(channels_in, channels, kernel, stride, groups=channels_in)
        self.pointwise = nn.Conv2d(channels, channels_out, 1)
        self._multiplier = multiplier

    def forward(self, x: Tensor) -> Tensor:
        if self._multiplier == 1:
            return self.pointwise(self.depthwise(x))
        kernels, bias = self.merged()
        padding = [self.depthwise.kernel_size[0] // 2] * 4
        padded = F.pad(x, padding, mode="reflect")
        return F.conv2d(padded, kernels, bias, self.depthwise.stride)

    def merged(self) -> tuple[Tensor, Tensor]:
        """Return the kernels and biases of the regular convolution that the two equal."""
        kernels = torch.einsum(
            "ock,ckhw->ochw",
            self.pointwise.weight[:, :, 0, 0].unflatten(1, (-1, self._multiplier)),
            self.depthwise.weight[:, 0].unflatten(0, (-1, self._multiplier)),
        )
        bias = self.pointwise(_bias(self.depthwise)[None, :, None, None]).flatten()
        return kernels, bias


def _padded(
    channels_in: int, channels_out: int, kernel: int, stride: int, groups: int, dilation: int = 1
) -> nn.Conv2d:
    return nn.Conv2d(
        channels_in,
        channels_out,
        kernel,
        stride,
        padding=dilation * (kernel // 2),
        dilation=dilation,
        padding_mode="reflect",
        groups=groups,
    )


Convolution = nn.Conv2d | SeparableConvolution
"""A convolution with reflection padding, regular or depthwise separable."""


def convolution(
    channels_in: int,
    channels_out: int,
    kernel: int,
    stride: int = 1,
    channel_multiplier: int | None = None,
    dilation: int = 1,
) -> Convolution:
    """Return a convolution with reflection padding.

    Args:
        channels_in: number of input channels.
        channels_out: number of output channels.
        kernel: side of the kernel in pixels, odd.
        stride: in pixels.
        channel_multiplier: number of depthwise kernels per channel, for a depthwise separable
            convolution; None for a regular one.
        dilation: distance of the taps of a regular convolution's kernels, in pixels.

    Raises:
        ValueError: the multiplier is not an integer from 1 to 64.
    """
    if channel_multiplier is None:
        return _padded(channels_in, channels_out, kernel, stride, groups=1, dilation=dilation)
    check_integer("channel_multiplier", channel_multiplier, lowest=1, highest=64)
    return SeparableConvolution(channels_in, channels_out, kernel, stride, channel_multiplier)


def kernels_and_bias(layer: Convolution) -> tuple[Tensor, Tensor]:
    """Return the kernels and biases of a convolution.

    Those of a separable convolution are of the regular convolution that it equals.

    Returns:
        Shapes (C_out, C_in, k, k) and (C_out,).
    """
    if isinstance(layer, SeparableConvolution):
        return layer.merged()
    return layer.weight, _bias(layer)


def convolve_upsampled(x: Tensor, layer: Convolution, constant: Tensor | None = None) -> Tensor:
    """Return a 3x3 convolution, with reflection padding, of features upsampled by 2.

    Upsampling is nearest neighbor: of the nine pixels under a kernel, up to four are copies of the
    same input, so their weights can be summed. The result is a transposed convolution by 4x4
    kernels, each the sum of the 3x3 kernel shifted to the four copies of an input, with 4/9 of the
    multiplications.

    In bfloat16 the four copies have sums that are rounded differently. In a constant image there is
    no other variation, and normalization would amplify it to a visible grid. Therefore the features
    of a constant image can be subtracted, and convolved separately by the sum of the weights.

    Args:
        x: of shape (B, C_in, H, W).
        layer: the convolution, of stride 1.
        constant: the features of a constant image, shape (C_in,); None if the output is not
            normalized.

    Returns:
        Shape (B, C_out, 2 H, 2 W).
    """
    kernels, bias = kernels_and_bias(layer)
    if constant is not None:
        x = x - constant[:, None, None]
        bias = bias + kernels.sum((2, 3)) @ constant
    transposed = kernels.flip(2, 3).transpose(0, 1)
    shifted = [
        F.pad(transposed, (column, 1 - column, row, 1 - row)) for row in (0, 1) for column in (0, 1)
    ]
    # Reflection padding of upsampled features repeats the outermost features.
    padded = F.pad(x, [1] * 4, mode="replicate")
    return F.conv_transpose2d(padded, torch.stack(shifted).sum(0), bias, stride=2, padding=3)


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None, "nn.Conv2d has one by default"
    return layer.bias


def check_integer(name: str, value: int, lowest: int, highest: int) -> None:
    """Check that an argument is an integer from `lowest` to `highest`.

    Raises:
        ValueError: it is not.
    """
    if type(value) is not int or not lowest <= value <= highest:
        raise ValueError(f"{name} is {value!r}, not a whole number from {lowest} to {highest}")


class ConvNorm(nn.Module):
    """A convolution and a normalization."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        channel_multiplier: int | None = None,
        norm: Norm = InstanceNorm,
    ) -> None:
        super().__init__()
        self.conv = convolution(channels_in, channels_out, kernel, stride, channel_multiplier)
        self.norm = norm(channels_out)

    def convolve(self, x: Tensor) -> Tensor:
        """Return the output of the convolution, before normalization."""
        return self.conv(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.convolve(x))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a skip connection, without a ReLU after the sum."""

    def __init__(
        self, channels: int, channel_multiplier: int | None = None, norm: Norm = InstanceNorm
    ) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, 3, 1, channel_multiplier, norm)
        self.second = ConvNorm(channels, channels, 3, 1, channel_multiplier, norm)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x)))


class UpsamplingConvNorm(nn.Module):
    """Upsampling by 2 with a 3x3 convolution, then a normalization.

    Attributes:
        interpolations: the interpolations whose results are concatenated and convolved; empty for a
            transposed convolution.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        upsampling: Upsampling,
        channel_multiplier: int | None = None,
        norm: Norm = InstanceNorm,
    ) -> None:
        """Build the layer with random weights.

        Args:
            channels_in: number of input channels.
            channels_out: number of output channels.
            upsampling: a transposed convolution; or a convolution of nearest-neighbor upsampling,
                or of nearest-neighbor and bilinear upsampling concatenated.
            channel_multiplier: of a depthwise separable convolution; None for a regular one.
            norm: builds the normalization.

        Raises:
            ValueError: the upsampling does not exist.
        """
        super().__init__()
        if upsampling not in _INTERPOLATIONS:
            raise ValueError(f"upsampling is {upsampling!r}, not {', '.join(_INTERPOLATIONS)}")
        self.interpolations = _INTERPOLATIONS[upsampling]
        self.conv: Convolution | nn.ConvTranspose2d
        if self.interpolations:
            self.conv = convolution(
                len(self.interpolations) * channels_in,
                channels_out,
                3,
                channel_multiplier=channel_multiplier,
            )
        else:
            self.conv = nn.ConvTranspose2d(
                channels_in, channels_out, 3, stride=2, padding=1, output_padding=1
            )
        self.norm = norm(channels_out)

    def convolve(self, x: Tensor, constant: Tensor | None = None) -> Tensor:
        """Return the output of the convolution, before normalization.

        Args:
            x: of shape (B, C, H, W).
            constant: passed to `convolve_upsampled`.
        """
        if isinstance(self.conv, nn.ConvTranspose2d):
            return self.conv(x)
        if self.interpolations == ("nearest",):
            return convolve_upsampled(x, self.conv, constant)
        upsampled = [F.interpolate(x, scale_factor=2.0, mode=mode) for mode in self.interpolations]
        return self.conv(torch.cat(upsampled, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.convolve(x))
