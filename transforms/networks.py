"""Image transformation networks: an RGB image in, an RGB image of the same size out.

A checkpoint names its network and the arguments that built it; `build_network` makes it again.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MIN_SIDE = 16
"""The shortest side, in pixels, that the reflection padding of every network here accepts."""

# As in Johnson et al.'s program: a little beyond [0, 1], so that black and white are reached where
# the hyperbolic tangent still has a gradient.
_TANH_SCALE = 150 / 255
# Adam moves all 2,592 weights of an output channel at once, by the learning rate each; undivided,
# their sum would drive the hyperbolic tangent into saturation within a few steps.
_OUTPUT_DIVISOR = 16


class ConvNorm(nn.Module):
    """Reflection padding, a convolution and instance normalisation."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels_in,
            channels_out,
            kernel,
            stride,
            padding=kernel // 2,
            padding_mode="reflect",
        )
        self.norm = nn.InstanceNorm2d(channels_out, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside an identity connection, without a rectifier after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, 3)
        self.second = ConvNorm(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x)))


class JohnsonNetwork(nn.Module):
    """The image transformation network of Johnson et al. 2016, with instance normalisation.

    Two convolutions of stride 2, five residual blocks and the way back up. Three choices of the
    years since replace the paper's: instance instead of batch normalisation (Ulyanov et al.
    2016), reflection padding at every convolution, and nearest-neighbour upsampling before a
    convolution instead of a transposed convolution, which leaves a checkerboard (Odena et al.
    2016). The count of parameters, 1.68 million, is the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            [ConvNorm(3, 32, 9), ConvNorm(32, 64, 3, stride=2), ConvNorm(64, 128, 3, stride=2)]
        )
        self.residual = nn.Sequential(*(ResidualBlock(128) for _ in range(5)))
        self.up = nn.ModuleList([ConvNorm(128, 64, 3), ConvNorm(64, 32, 3)])
        self.out = nn.Conv2d(32, 3, 9, padding=4, padding_mode="reflect")

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
            x = F.relu(layer(F.interpolate(x, scale_factor=2.0, mode="nearest")))
        stylized = 0.5 + _TANH_SCALE * torch.tanh(self.out(x) / _OUTPUT_DIVISOR)
        # Each stride of 2 rounds an odd side up; the surplus lies at the right and the bottom.
        return stylized[..., :height, :width]


_NETWORKS: dict[str, Callable[..., nn.Module]] = {"johnson": JohnsonNetwork}
NETWORK_NAMES = tuple(_NETWORKS)


def build_network(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return the network of that name, with random weights.

    Args:
        name: one of NETWORK_NAMES.
        arguments: what its constructor takes.

    Raises:
        ValueError: the name or an argument is unknown.
    """
    if name not in _NETWORKS:
        raise ValueError(f"There is no network {name!r}; there is {', '.join(_NETWORKS)}.")
    try:
        return _NETWORKS[name](**arguments)
    except TypeError as error:
        raise ValueError(f"The network {name!r} cannot be built: {error}") from error
