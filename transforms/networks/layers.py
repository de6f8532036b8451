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

    `transforms.networks.style_network` normalises: it knows what belongs to the image.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))


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

    Raises:
        ValueError: the multiplier is not a whole number from 1 to 64.
    """
    if channel_multiplier is None:
        return _padded(channels_in, channels_out, kernel, stride, groups=1)
    check_whole("channel_multiplier", channel_multiplier, lowest=1, highest=64)
    return SeparableConvolution(channels_in, channels_out, kernel, stride, channel_multiplier)


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
        kernels = torch.einsum(
            "ock,ckhw->ochw",
            self.pointwise.weight[:, :, 0, 0].unflatten(1, (-1, self._multiplier)),
            self.depthwise.weight[:, 0].unflatten(0, (-1, self._multiplier)),
        )
        assert self.depthwise.bias is not None, "nn.Conv2d has one by default"
        bias = self.pointwise(self.depthwise.bias[None, :, None, None]).flatten()
        padding = [self.depthwise.kernel_size[0] // 2] * 4
        continued = F.pad(x, padding, mode="reflect")
        return F.conv2d(continued, kernels, bias, self.depthwise.stride)


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


def check_whole(name: str, value: int, lowest: int, highest: int) -> None:
    """Refuse an argument that is not a whole number from `lowest` to `highest`.

    Raises:
        ValueError: it is not.
    """
    if type(value) is not int or not lowest <= value <= highest:
        raise ValueError(f"{name} is {value!r}, not a whole number from {lowest} to {highest}")


def convolve_blocks(x: Tensor, layer: nn.Conv2d, side: int) -> Tensor:
    """Return a 3x3 convolution at the blocks' resolution.

    The pixels of a block are channels of one place. So is what the convolution makes of it, and one
    kernel of 3x3 blocks does it all: at full resolution there would be few channels and many
    places, for which processors take several times as long.

    Args:
        x: of shape (B, side^2 C_in, H, W), the channels of a block's pixels one after the other, by
            quadrants: those of the upper left quadrant first, and of it the upper left pixel or
            quadrant first. Blocks go on beyond the border.
        layer: the convolution.
        side: of a block, in pixels: 1, 2 or 4.

    Returns:
        Shape (B, side^2 C_out, H, W), the channels of a block's pixels one after the other, row by
        row.
    """
    kernels = _kernels_of_blocks(layer, side, upsampled=1).flatten(0, 1)
    bias = _bias(layer).repeat(side**2)
    return F.conv2d(F.pad(x, [1] * 4, mode="replicate"), kernels, bias)


def upsample_blocks(x: Tensor, layer: nn.Conv2d, side: int) -> Tensor:
    """Return a 3x3 convolution, of features upsampled twofold, at the blocks' resolution.

    Upsampling is by nearest neighbours: what a quadrant of a block becomes depends on 2x2 blocks
    alone.

    Args:
        x: as `convolve_blocks` takes it.
        layer: the convolution.
        side: of a block of the features, in pixels: 1 or 2.

    Returns:
        Likewise by quadrants, shape (B, (2 side)^2 C_out, H, W).
    """
    kernels = _kernels_of_blocks(layer, side, upsampled=2)[_by_quadrants(2 * side)]
    bias = _bias(layer).repeat(side**2)
    made = []
    for quadrant, of_pixels in enumerate(kernels.chunk(4)):
        below, right = divmod(quadrant, 2)
        around = F.pad(x, (1 - right, right, 1 - below, below), mode="replicate")
        met = of_pixels.flatten(0, 1)[..., below : below + 2, right : right + 2]
        made.append(F.conv2d(around, met, bias))
    return torch.cat(made, 1)


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None, "nn.Conv2d has one by default"
    return layer.bias


def _kernels_of_blocks(layer: nn.Conv2d, side: int, upsampled: int) -> Tensor:
    """Return a 3x3 convolution's kernels of 3x3 blocks, of upsampled features.

    Returns:
        Shape ((upsampled side)^2, C_out, side^2 C_in, 3, 3): for the output's pixels, row by row,
        and channels; of the input's pixels, by quadrants, and channels; in 3x3 blocks.
    """
    met = layer.weight.new_tensor(_pixels_met(side, upsampled))
    # For output pixel (p, q), channel o: of input pixel (r, s), channel i, in the block at (a, b).
    kernels = torch.einsum("pard,qbse,oide->pqorsiab", met, met, layer.weight)
    by_pixels = kernels.flatten(3, 4).flatten(0, 1)
    return by_pixels[:, :, _by_quadrants(side)].flatten(2, 3)


def _by_quadrants(side: int) -> list[int]:
    """Return which pixel of a block, counted row by row, each is that is counted by quadrants."""
    places = [(0, 0)]
    for half in (1, 2):
        if half < side:
            corners = [(row, column) for row in (0, half) for column in (0, half)]
            places = [(top + row, left + column) for top, left in corners for row, column in places]
    return [side * row + column for row, column in places]


def _pixels_met(side: int, upsampled: int) -> list[list[list[list[float]]]]:
    """Return on which pixels the rows of a 3x3 kernel fall.

    Returns:
        For each row p of a block of the output, each of three blocks, each row r of them and each
        row d of the kernel: 1 where d falls on r, else 0.
    """
    return [
        [
            [
                [float((p + d) // upsampled == side * block + r) for d in (-1, 0, 1)]
                for r in range(side)
            ]
            for block in (-1, 0, 1)
        ]
        for p in range(upsampled * side)
    ]


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
    """Twice the resolution by a 3x3 convolution, and a normalisation."""

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
        self.norm = norm(channels_out)

    def convolve(self, x: Tensor) -> Tensor:
        """Return what is to be normalised."""
        if self._modes:
            x = torch.cat(
                [F.interpolate(x, scale_factor=2.0, mode=mode) for mode in self._modes], 1
            )
        return self.conv(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.convolve(x))
