"""A network for the style of any painting, with the painting's light and colors by construction."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.networks.multi_style import EPSILON, MultiStyleNetwork
from stylebeam.transforms.networks.space_to_depth import convolve_space_to_depth
from stylebeam.transforms.networks.style_network import STRIDE, Stage

COLOR_SIZE = 12
"""How many numbers at the end of a vector are the painting's colors, see `encode_colors`."""

# The middle of the vectors' range: gray, and a contrast that paintings have on average.
_GRAY, _CONTRAST = 0.5, 0.25
# Radius in positions of each residual block's kernels. Dilated convolutions (Yu and Koltun 2016)
# see an area four times as large in the same time, and paint larger forms.
_DILATIONS = (1, 2, 4, 2, 1)


class AnyStyleNetwork(MultiStyleNetwork):
    """The multi-style network with larger forms and a normalized output.

    The last convolution is normalized too, and the result y is mapped to the colors

        mean + C^(1/2) y

    where the mean and the covariance C are those of the painting's colors. So pictures have the
    painting's light, contrast and palette whatever the photo and the style; without, pictures were
    half as contrasted as paintings. These numbers are the end of a style's vector, and need no
    training.
    """

    def __init__(self, channels: int = 64) -> None:
        """Build the network with random weights.

        Args:
            channels: as in `MultiStyleNetwork`.

        Raises:
            ValueError: the value is not an integer in its range.
        """
        super().__init__(channels, blocks=len(_DILATIONS))
        for number, dilation in enumerate(_DILATIONS):
            for layer in self.residual[2 * number : 2 * number + 2]:
                _dilate(layer, dilation)

    @property
    def style_size(self) -> int:
        return super().style_size + COLOR_SIZE

    def body(self, styles: Tensor) -> list[tuple[Stage, Stage]]:
        return [
            (first._replace(reach=dilation), second._replace(reach=dilation))
            for (first, second), dilation in zip(super().body(styles), _DILATIONS, strict=True)
        ]

    def output(self, styles: Tensor) -> Stage:
        ones = styles.new_ones((1, 3 * STRIDE**2))
        return Stage(self._out, ones, torch.zeros_like(ones), EPSILON)

    def finish(self, x: Tensor, styles: Tensor) -> Tensor:
        mean, root = decode_colors(styles)
        pixels = x.unflatten(1, (STRIDE**2, 3))
        if len(styles) == 1:
            # As one convolution, which is faster.
            same_pixel = torch.eye(STRIDE**2).to(root)[:, None, :, None]
            kernels = (same_pixel * root[0, :, None]).flatten(2).flatten(0, 1)[:, :, None, None]
            bias = (mean[0] - _GRAY).repeat(STRIDE**2)
            return _GRAY + F.conv2d(x, kernels.to(x.dtype), bias.to(x.dtype)).float()
        mixed = torch.einsum("bij,bpjhw->bpihw", root, pixels.float())
        return (mean[:, None, :, None, None] + mixed).flatten(1, 2)

    def _out(self, x: Tensor) -> Tensor:
        return convolve_space_to_depth(x, self.out, side=STRIDE)


def encode_colors(mean: Tensor, covariance: Tensor) -> Tensor:
    """Return the ends of vectors of styles, shape (N, COLOR_SIZE).

    Args:
        mean: of each painting's RGB in [0, 1], shape (N, 3).
        covariance: of each painting's RGB, shape (N, 3, 3).
    """
    variances, axes = torch.linalg.eigh(covariance.double())
    root = (axes * variances.clamp_min(0).sqrt()[:, None]) @ axes.mT
    numbers = root / _CONTRAST - torch.eye(3).to(root)
    return torch.cat([mean.double() - _GRAY, numbers.flatten(1)], 1).float()


def decode_colors(styles: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean color, shape (B, 3), and C^(1/2), shape (B, 3, 3), of vectors of styles."""
    mean, root = styles[:, -COLOR_SIZE:].split((3, 9), 1)
    return _GRAY + mean, _CONTRAST * (torch.eye(3).to(root) + root.unflatten(1, (3, 3)))


def _dilate(layer: nn.Module, dilation: int) -> None:
    """Set the distance of a 3x3 convolution's taps, in positions."""
    assert isinstance(layer, nn.Conv2d)
    layer.dilation = layer.padding = (dilation, dilation)
    # What padding_mode="reflect" pads with; computed by the constructor alone.
    layer._reversed_padding_repeated_twice = [dilation] * 4
