"""One network for many styles, each a small vector, that works at a quarter of the resolution."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transforms.networks.layers import (
    check_whole,
    convolution,
    convolve_upsampled,
    instance_norm,
)

_STRIDE = 4
# As in `transforms.networks.johnson`, and for the same reasons.
_TANH_SCALE = 150 / 255
_OUTPUT_DIVISOR = 4
# Likewise, but narrower for speed: two blocks.
_FRAME = 8
# The features of an image of one colour differ by rounding alone, which a division by the root of
# much less than this would make visible.
_EPSILON = 1e-3


class MultiStyleNetwork(nn.Module):
    """Johnson's network at a quarter of the resolution, with conditional instance normalisation.

    A style is the scale and the shift of every normalisation (Dumoulin et al. 2017, "A Learned
    Representation for Artistic Style"): one vector, that is given beside the image and is no part
    of the network. A weighted mean of vectors is a blend of their styles.

    Each 4x4 block of pixels becomes the channels of one place, where all but the last convolutions
    work. Nearest-neighbour upsampling leads back, and leaves no grid (Odena et al. 2016,
    "Deconvolution and Checkerboard Artifacts"): pixels at one place of their blocks are normalised
    apart from those at other places, so that none can be brighter than the others on the whole.
    """

    def __init__(self, channels: int = 64, blocks: int = 5) -> None:
        """Build the network with random weights.

        Args:
            channels: at a quarter of the resolution; 3/8 of them at half, 3/16 at the whole.
            blocks: residual blocks, of two convolutions each.

        Raises:
            ValueError: a value is no whole number, or too small.
        """
        super().__init__()
        check_whole("channels", channels, lowest=16, highest=1024)
        check_whole("blocks", blocks, lowest=1, highest=64)
        half, whole = channels * 3 // 8, channels * 3 // 16
        self.first = convolution(3 * _STRIDE**2, channels, 3)
        self.residual = nn.ModuleList(convolution(channels, channels, 3) for _ in range(2 * blocks))
        self.to_half = nn.Conv2d(channels, half, 3)
        self.to_whole = nn.Conv2d(half, whole, 3)
        self.out = nn.Conv2d(whole, 3, 3)
        self._sizes = [channels] * (1 + 2 * blocks) + [half, whole]

    @property
    def style_size(self) -> int:
        """The length of a style's vector: a scale and a shift for each normalised channel."""
        return 2 * sum(self._sizes)

    def forward(self, images: Tensor, styles: Tensor) -> Tensor:
        """Return the stylised images.

        Args:
            images: RGB in [0, 1], shape (B, 3, H, W), each side at least 9.
            styles: the style of each image, or one for all, shape (B, style_size) or
                (1, style_size). Of zeros, normalisations neither scale nor shift.

        Returns:
            RGB of the same shape, to be clipped to [0, 1].
        """
        height, width = images.shape[-2:]
        affine = iter(styles.split([2 * size for size in self._sizes], 1))
        framed = F.pad(2 * images - 1, [_FRAME] * 4, mode="reflect")
        x = F.pixel_unshuffle(_to_whole_blocks(framed), _STRIDE)
        x = F.relu(_normalize(self.first(x), next(affine)))
        first, second = self.residual[::2], self.residual[1::2]
        for one, other in zip(first, second, strict=True):
            between = F.relu(_normalize(one(x), next(affine)))
            x = x + _normalize(other(between), next(affine))
        places = convolve_upsampled(x, self.to_half, padding=1)
        x = F.pixel_shuffle(F.relu(_normalize(places, next(affine), 2**2)), 2)
        # A block more on each side is what the last convolution has at the border.
        places = F.pixel_unshuffle(convolve_upsampled(x, self.to_whole, padding=3), 2)
        x = F.relu(_normalize(places, next(affine), _STRIDE**2))
        x = self.out(F.pixel_shuffle(F.pixel_shuffle(x, 2), 2))
        border = _FRAME + _STRIDE - 1
        x = x[..., border : border + height, border : border + width]
        return 0.5 + _TANH_SCALE * torch.tanh(x / _OUTPUT_DIVISOR)


def _to_whole_blocks(images: Tensor) -> Tensor:
    """Extend images to the right and the bottom to multiples of the stride."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % _STRIDE, 0, -height % _STRIDE), mode="replicate")


def _normalize(features: Tensor, affine: Tensor, places: int = 1) -> Tensor:
    """Normalise every channel of every image, then scale and shift it.

    Args:
        features: of shape (B, places C, H, W).
        affine: what is added to a scale of 1, then the shift, shape (B, 2 C) or (1, 2 C).
        places: how many channels follow each other that share a scale and a shift.
    """
    scale, shift = affine.repeat_interleave(places, 1).chunk(2, 1)
    return instance_norm(features, 1 + scale, shift, _EPSILON)
