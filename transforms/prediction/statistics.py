"""What a style is predicted from: the statistics of a painting.

All statistics are means over the painting's positions, so those of a collage of two paintings are
the weighted mean of the paintings' statistics. Trainings mix paintings in this way.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.losses.functional import gram_matrix
from stylebeam.transforms.losses.loss_network import LossNetwork

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""The layers of the distilled VGG whose features are measured."""

STYLE_SIZE = 512
"""Short side of paintings in pixels: shapes in pictures are as large as in such a painting."""

HISTOGRAM_SIDE = 6
"""Bins of a histogram for each of red, green and blue."""

_LONGEST = 4  # Long side of a painting, at most, relative to its short side.


class FeatureMoments(NamedTuple):
    """Moments of the features of N paintings in each layer, multiplied by the layer's readout.

    Attributes:
        means: by layer, shape (N, C).
        grams: normalized Gram matrices as of `gram_matrix`, by layer, shape (N, C, C).
    """

    means: dict[str, Tensor]
    grams: dict[str, Tensor]


class ColorMoments(NamedTuple):
    """Moments of the colors of N paintings, RGB in [0, 1].

    Attributes:
        mean: shape (N, 3).
        second: the mean of the outer product of a color with itself, shape (N, 3, 3).
        histogram: the fraction of pixels of each color, shape (N, HISTOGRAM_SIDE^3).
    """

    mean: Tensor
    second: Tensor
    histogram: Tensor

    @property
    def covariance(self) -> Tensor:
        """The covariance, shape (N, 3, 3)."""
        return self.second - self.mean[:, :, None] * self.mean[:, None]


class PaintingStatistics(NamedTuple):
    """The statistics of N paintings.

    Attributes:
        whole: of the features at STYLE_SIZE.
        half: of the features at half of that size, for forms too large to be seen at STYLE_SIZE.
        colors: of the pixels.
    """

    whole: FeatureMoments
    half: FeatureMoments
    colors: ColorMoments


@torch.no_grad()
def measure_painting(network: LossNetwork, painting: Tensor) -> PaintingStatistics:
    """Return the statistics of one painting.

    Args:
        network: the distilled VGG with LAYERS, its images extended by reflection
            (`stylebeam.transforms.losses.borders.ReflectedMargin`).
        painting: RGB in [0, 1], shape (1, 3, H, W), as `at_style_size` returns it.
    """
    half = [max(1, side // 2) for side in painting.shape[2:]]
    small = F.interpolate(painting, half, mode="bilinear", antialias=True)
    pixels = painting.float().flatten(2)
    return PaintingStatistics(
        feature_moments(network, painting),
        feature_moments(network, small),
        ColorMoments(
            pixels.mean(2), pixels @ pixels.mT / pixels.shape[2], _histogram(pixels[0])[None]
        ),
    )


@torch.no_grad()
def feature_moments(network: LossNetwork, images: Tensor) -> FeatureMoments:
    """Return the moments of the features of images, RGB in [0, 1], shape (N, 3, H, W)."""
    means, grams = {}, {}
    for layer, features in network(images, LAYERS).items():
        readout = network.readout(layer)
        mean = features.float().mean((2, 3))
        means[layer] = mean if readout is None else mean @ readout.float().mT
        grams[layer] = gram_matrix(features, readout)
    return FeatureMoments(means, grams)


def at_style_size(painting: Tensor, short_side: int = STYLE_SIZE) -> Tensor:
    """Return a painting resized for its statistics; only the middle of a very long one.

    Args:
        painting: RGB in [0, 1], shape (1, 3, H, W), of any size.
        short_side: of the result, in pixels.

    Returns:
        Shape (1, 3, H', W'), the long side at most 4 times the short side.
    """
    height, width = painting.shape[2:]
    longest = _LONGEST * min(height, width)
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    middle = painting[:, :, top : top + longest, left : left + longest]
    scale = short_side / min(height, width)
    size = [round(scale * side) for side in middle.shape[2:]]
    return F.interpolate(middle, size, mode="bilinear", antialias=True)


def mixed_statistics(
    statistics: Sequence[PaintingStatistics], parts: Sequence[float]
) -> PaintingStatistics:
    """Return the statistics of a collage of paintings.

    Args:
        statistics: of each painting.
        parts: the fraction of the collage that each painting takes, summing to 1.
    """

    def mean(tensors: Sequence[Tensor]) -> Tensor:
        return torch.stack([part * each for part, each in zip(parts, tensors, strict=True)]).sum(0)

    def moments(each: Sequence[FeatureMoments]) -> FeatureMoments:
        return FeatureMoments(
            {layer: mean([one.means[layer] for one in each]) for layer in LAYERS},
            {layer: mean([one.grams[layer] for one in each]) for layer in LAYERS},
        )

    return PaintingStatistics(
        moments([one.whole for one in statistics]),
        moments([one.half for one in statistics]),
        ColorMoments(*map(mean, zip(*(one.colors for one in statistics), strict=True))),
    )


def stacked_statistics(statistics: Sequence[PaintingStatistics]) -> PaintingStatistics:
    """Return the statistics of several paintings, or batches of paintings, as one batch."""

    def moments(each: Sequence[FeatureMoments]) -> FeatureMoments:
        return FeatureMoments(
            {layer: torch.cat([one.means[layer] for one in each]) for layer in LAYERS},
            {layer: torch.cat([one.grams[layer] for one in each]) for layer in LAYERS},
        )

    return PaintingStatistics(
        moments([one.whole for one in statistics]),
        moments([one.half for one in statistics]),
        ColorMoments(*map(torch.cat, zip(*(one.colors for one in statistics), strict=True))),
    )


def _histogram(pixels: Tensor) -> Tensor:
    """Return the fraction of each color, shape (HISTOGRAM_SIDE^3,), in pixels, shape (3, N)."""
    # A pixel counts partly for each of the two nearest bins of a channel, so that a small change of
    # color is a small change of the histogram.
    place = pixels.clamp(0, 1) * (HISTOGRAM_SIDE - 1)
    below = place.floor().clamp_max(HISTOGRAM_SIDE - 2)
    above = place - below
    bins = pixels.new_zeros(HISTOGRAM_SIDE**3)
    for corner in range(8):
        offset = pixels.new_tensor([corner >> 2 & 1, corner >> 1 & 1, corner & 1])[:, None]
        weight = torch.where(offset == 1, above, 1 - above).prod(0)
        red, green, blue = (below + offset).long()
        bins.index_add_(0, (red * HISTOGRAM_SIDE + green) * HISTOGRAM_SIDE + blue, weight)
    return bins / pixels.shape[1]
