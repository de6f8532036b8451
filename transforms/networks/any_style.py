"""A network for the style of any painting, which takes lightness and colors from the painting."""

import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.networks.multi_style import EPSILON, MultiStyleNetwork
from stylebeam.transforms.networks.space_to_depth import convolve_space_to_depth
from stylebeam.transforms.networks.style_network import STRIDE, Stage

COLOR_SIZE = 12
"""How many numbers at the end of a vector encode the painting's colors, see `encode_colors`."""

# Zeros encode gray, with a contrast that is average for paintings.
_GRAY, _CONTRAST = 0.5, 0.25
# Of each residual block. Dilated convolutions (Yu and Koltun 2016, "Multi-Scale Context Aggregation
# by Dilated Convolutions") see a larger area in the same time, and paint larger forms.
_DILATIONS = (1, 2, 4, 2, 1)


class AnyStyleNetwork(MultiStyleNetwork):
    """The multi-style network with larger forms and a normalized output.

    The last convolution is normalized too, for each pixel position of the blocks, and the result y
    is mapped to the colors

        m + C^(1/2) y

    where m and C are the mean and the covariance of the painting's colors. So a picture has the
    painting's mean color, before it is clipped to [0, 1], whatever the photo and the style. It has
    the painting's covariance if the channels of y are uncorrelated. Without this, pictures had half
    of the contrast of paintings. The numbers of m and C^(1/2) are the end of a style's vector, and
    need no training.
    """

    def __init__(self, channels: int = 64) -> None:
        """Build the network with random weights.

        Args:
            channels: as in `MultiStyleNetwork`.

        Raises:
            ValueError: the value is not an integer in its range.
        """
        super().__init__(channels, blocks=len(_DILATIONS))

    @property
    def style_size(self) -> int:
        """The length of a style's vector: as in `MultiStyleNetwork`, then the colors."""
        return super().style_size + COLOR_SIZE

    def dilation(self, block: int) -> int:
        return _DILATIONS[block]

    def output(self, styles: Tensor) -> Stage:
        ones = styles.new_ones((1, 3 * STRIDE**2))
        return Stage(self._out, ones, torch.zeros_like(ones), EPSILON)

    def finish(self, x: Tensor, styles: Tensor) -> Tensor:
        mean, root = decode_colors(styles)
        if len(styles) == 1:
            # As one convolution, which is faster.
            same_pixel = torch.eye(STRIDE**2).to(root)[:, None, :, None]
            kernels = (same_pixel * root[0, :, None]).flatten(2).flatten(0, 1)[:, :, None, None]
            bias = (mean[0] - _GRAY).repeat(STRIDE**2)
            return _GRAY + F.conv2d(x, kernels.to(x.dtype), bias.to(x.dtype)).float()
        pixels = x.unflatten(1, (STRIDE**2, 3))
        mixed = torch.einsum("bij,bpjhw->bpihw", root, pixels.float())
        return (mean[:, None, :, None, None] + mixed).flatten(1, 2)

    def _out(self, x: Tensor) -> Tensor:
        return convolve_space_to_depth(x, self.out, side=STRIDE)


def encode_colors(mean: Tensor, covariance: Tensor) -> Tensor:
    """Return the ends of styles' vectors, shape (N, COLOR_SIZE).

    Args:
        mean: of each painting's RGB in [0, 1], shape (N, 3).
        covariance: of each painting's RGB, shape (N, 3, 3). Eigenvalues below 0, from rounding,
            count as 0.
    """
    variances, axes = torch.linalg.eigh(covariance.double())
    root = (axes * variances.clamp_min(0).sqrt()[:, None]) @ axes.mT
    numbers = root / _CONTRAST - torch.eye(3).to(root)
    return torch.cat([mean.double() - _GRAY, numbers.flatten(1)], 1).float()


def decode_colors(styles: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean color and the square root of the covariance in styles' vectors.

    Args:
        styles: shape (B, style_size).

    Returns:
        Shapes (B, 3) and (B, 3, 3).
    """
    mean, root = styles[:, -COLOR_SIZE:].split((3, 9), 1)
    return _GRAY + mean, _CONTRAST * (torch.eye(3).to(root) + root.unflatten(1, (3, 3)))
