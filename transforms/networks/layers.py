"""What networks are made of: convolutions, regular or depthwise separable, and upsampling."""

from collections.abc import Callable, Mapping
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

NORM_EPSILON = 1e-5
"""Is added to the variance by the normalisation of the papers' networks."""

Norm = Callable[[int], nn.Module]
"""Makes the normalisation of so many channels."""


def instance_norm(features: Tensor, scale: Tensor, shift: Tensor, epsilon: float) -> Tensor:
    """Normalise every channel of every image, then scale and shift it.

    Args:
        features: of shape (B, C, H, W), more than one pixel each.
        scale: for each image, or one for all, shape (B, C) or (1, C).
        shift: likewise.
        epsilon: is added to the variance.
    """
    # Not a batch normalisation of each image alone, which is faster: its sums, and so the last bits
    # of its results, depend on the number of threads.
    if len(scale) == 1:
        return F.instance_norm(features, weight=scale[0], bias=shift[0], eps=epsilon)
    normalized = F.instance_norm(features, eps=epsilon)
    scale, shift = (affine.to(features.dtype)[:, :, None, None] for affine in (scale, shift))
    return torch.addcmul(shift, normalized, scale)


class InstanceNorm(nn.Module):
    """The scale and the shift of an instance normalisation.

    `stylebeam.transforms.networks.style_network` normalises: it knows what belongs to the image.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))


class SeparableConvolution(nn.Module):
    """A depthwise convolution with several kernels for each channel, and a 1x1 convolution.

    Nothing is between the two, so together they are a regular convolution, whose kernel from
    channel c to channel o is the sum over c's kernels d_k of p_ok d_k, with p the 1x1 convolution's
    weights. With two kernels or more for each channel that takes less time: a depthwise convolution
    does so little with each number that it waits for memory.

    Attributes:
        depthwise: the convolution of each channel.
        pointwise: the convolution that mixes what it returns.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int, multiplier: int
    ) -> None:
        """Build the layer with random weights.

        Args:
            channels_in: that it takes.
            channels_out: that it returns.
            kernel: side of the depthwise kernels in pixels, odd.
            stride: in pixels.
            multiplier: kernels for each channel.
        """
        super().__init__()
        channels = channels_in * multiplier
        self.depthwise = _padded(channels_in, channels, kernel, stride, groups=channels_in)
        self.pointwise = nn.Conv2d(channels, channels_out, 1)
        self._multiplier = multiplier

    def forward(self, x: Tensor) -> Tensor:
        if self._multiplier == 1:
            return self.pointwise(self.depthwise(x))
        kernels, bias = self.regular()
        padding = [self.depthwise.kernel_size[0] // 2] * 4
        continued = F.pad(x, padding, mode="reflect")
        return F.conv2d(continued, kernels, bias, self.depthwise.stride)

    def regular(self) -> tuple[Tensor, Tensor]:
        """Return the kernels and the biases of the regular convolution that the two are."""
        kernels = torch.einsum(
            "ock,ckhw->ochw",
            self.pointwise.weight[:, :, 0, 0].unflatten(1, (-1, self._multiplier)),
            self.depthwise.weight[:, 0].unflatten(0, (-1, self._multiplier)),
        )
        bias = self.pointwise(_bias(self.depthwise)[None, :, None, None]).flatten()
        return kernels, bias


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


Convolution = nn.Conv2d | SeparableConvolution
"""One with reflection padding, regular or depthwise separable."""


def convolution(
    channels_in: int,
    channels_out: int,
    kernel: int,
    stride: int = 1,
    channel_multiplier: int | None = None,
) -> Convolution:
    """Return a convolution with reflection padding.

    Args:
        channels_in: that it takes.
        channels_out: that it returns.
        kernel: side of the kernel in pixels, odd.
        stride: in pixels.
        channel_multiplier: None for a regular convolution. A number makes it depthwise separable:
            each channel is convolved by so many kernels of its own, and a 1x1 convolution mixes
            what they return.

    Raises:
        ValueError: the multiplier is not a whole number from 1 to 64.
    """
    if channel_multiplier is None:
        return _padded(channels_in, channels_out, kernel, stride, groups=1)
    check_whole("channel_multiplier", channel_multiplier, lowest=1, highest=64)
    return SeparableConvolution(channels_in, channels_out, kernel, stride, channel_multiplier)


def regular(layer: Convolution) -> tuple[Tensor, Tensor]:
    """Return a layer's kernels and biases; of a separable one those of the regular one it equals.

    Returns:
        Shapes (C_out, C_in, k, k) and (C_out,).
    """
    if isinstance(layer, SeparableConvolution):
        return layer.regular()
    return layer.weight, _bias(layer)


def convolve_upsampled(x: Tensor, layer: Convolution, flat: Tensor | None = None) -> Tensor:
    """Return a 3x3 convolution with reflection padding, of features upsampled twofold.

    Upsampling is by nearest neighbours: of the nine pixels that a kernel meets up to four are one
    and the same feature, for which the sum of their weights will do. So it is one transposed
    convolution, of 4x4 kernels that sum the 3x3 ones at the four pixels of a feature, with 4/9 of
    the multiplications.

    In bfloat16 the four pixels that a feature becomes have sums that are rounded differently. That
    is little beside an image's detail, but on a blank page it is all that there is, and a
    normalisation makes a grid of it. So `flat` is convolved apart, by the sums of all weights.

    Args:
        x: of shape (B, C_in, H, W).
        layer: the convolution, of stride 1.
        flat: the features of a blank page, shape (C_in,); None where nothing is normalised.

    Returns:
        Shape (B, C_out, 2 H, 2 W).
    """
    kernels, bias = regular(layer)
    if flat is not None:
        x = x - flat[:, None, None]
        bias = bias + kernels.sum((2, 3)) @ flat
    transposed = kernels.flip(2, 3).transpose(0, 1)
    at_pixels = [
        F.pad(transposed, (column, 1 - column, row, 1 - row)) for row in (0, 1) for column in (0, 1)
    ]
    # The reflection of upsampled features at their border is the outermost features again.
    continued = F.pad(x, [1] * 4, mode="replicate")
    return F.conv_transpose2d(continued, torch.stack(at_pixels).sum(0), bias, stride=2, padding=3)


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None, "nn.Conv2d has one by default"
    return layer.bias


def check_whole(name: str, value: int, lowest: int, highest: int) -> None:
    """Refuse an argument that is not a whole number from `lowest` to `highest`.

    Raises:
        ValueError: it is not.
    """
    if type(value) is not int or not lowest <= value <= highest:
        raise ValueError(f"{name} is {value!r}, not a whole number from {lowest} to {highest}")


class ConvNorm(nn.Module):
    """A convolution and a normalisation."""

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
        """Return what is to be normalised."""
        return self.conv(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.convolve(x))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside an identity connection, without a rectifier after the sum."""

    def __init__(
        self, channels: int, channel_multiplier: int | None = None, norm: Norm = InstanceNorm
    ) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, 3, 1, channel_multiplier, norm)
        self.second = ConvNorm(channels, channels, 3, 1, channel_multiplier, norm)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x)))


class UpsamplingConvNorm(nn.Module):
    """Twice the resolution by a 3x3 convolution, and a normalisation.

    Attributes:
        interpolations: what is convolved, one beside the other; none by a transposed convolution.
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
            channels_in: that it takes.
            channels_out: that it returns.
            upsampling: a transposed convolution; or a convolution of the nearest-neighbour
                upsampling, or of that and the bilinear one beside each other.
            channel_multiplier: of the convolution, if it is depthwise separable.
            norm: makes the normalisation.

        Raises:
            ValueError: there is no such upsampling.
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

    def convolve(self, x: Tensor, flat: Tensor | None = None) -> Tensor:
        """Return what is to be normalised.

        Args:
            x: of shape (B, C, H, W).
            flat: as `convolve_upsampled` takes it.
        """
        if isinstance(self.conv, nn.ConvTranspose2d):
            return self.conv(x)
        if self.interpolations == ("nearest",):
            return convolve_upsampled(x, self.conv, flat)
        upsampled = [F.interpolate(x, scale_factor=2.0, mode=mode) for mode in self.interpolations]
        return self.conv(torch.cat(upsampled, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.convolve(x))
