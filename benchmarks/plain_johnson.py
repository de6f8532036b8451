"""Johnson's network and its separable variants as in the papers: one module after the other."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.networks.johnson import JohnsonNetwork
from stylebeam.transforms.networks.layers import (
    ConvNorm,
    ResidualBlock,
    SeparableConvolution,
    UpsamplingConvNorm,
)
from stylebeam.transforms.networks.style_network import framed


class PlainJohnson(nn.Module):
    """A network without the optimized convolutions of `transforms`."""

    def __init__(self, network: JohnsonNetwork) -> None:
        """Build the plain network with the weights of a network."""
        super().__init__()
        self.frame = network.frame
        layers: list[nn.Module] = [_activated(layer) for layer in network.down]
        layers += [_Residual(block) for block in network.residual]
        for layer in network.up:
            layers += [_Interpolation(layer.interpolations), _activated(layer)]
        self.layers = nn.Sequential(*layers, _plain(network.out))

    def forward(self, images: Tensor) -> Tensor:
        """Return the stylized images.

        Args:
            images: RGB in [0, 1], shape (B, 3, H, W).

        Returns:
            RGB of the same shape, not yet clipped to [0, 1].
        """
        stylized = 0.5 + 150 / 255 * torch.tanh(
            self.layers(2 * framed(images, self.frame) - 1) / 16
        )
        rows, columns = (slice(self.frame, self.frame + side) for side in images.shape[2:])
        return stylized[..., rows, columns]


class _Residual(nn.Module):
    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.layers = nn.Sequential(_activated(block.first), *_normalized(block.second))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class _Interpolation(nn.Module):
    def __init__(self, modes: Sequence[str]) -> None:
        super().__init__()
        self.modes = modes

    def forward(self, x: Tensor) -> Tensor:
        upsampled = [F.interpolate(x, scale_factor=2.0, mode=mode) for mode in self.modes]
        return torch.cat(upsampled, 1) if upsampled else x


def _activated(layer: ConvNorm | UpsamplingConvNorm) -> nn.Sequential:
    return nn.Sequential(*_normalized(layer), nn.ReLU())


def _normalized(layer: ConvNorm | UpsamplingConvNorm) -> list[nn.Module]:
    norm = nn.InstanceNorm2d(len(layer.norm.weight), affine=True)
    norm.weight, norm.bias = layer.norm.weight, layer.norm.bias
    return [_plain(layer.conv), norm]


def _plain(convolution: nn.Module) -> nn.Module:
    if isinstance(convolution, SeparableConvolution):
        return nn.Sequential(convolution.depthwise, convolution.pointwise)
    return convolution
