"""The color loss: how far the colors of an image are from a painting's, at several scales."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SCALES = (1, 4, 16)
"""Sides in pixels of the squares whose mean colors are compared: detail, strokes, large forms."""

_BINS = 64
# A larger image is sampled on a grid: sorting takes most of the time.
_LARGEST_SAMPLE = 2**12


class ColorSample(NamedTuple):
    """The colors of an image: for each scale, RGB of shape (N, 3), with N at least 64."""

    of_scale: tuple[Tensor, ...]


def sample_colors(image: Tensor) -> ColorSample:
    """Return the colors of an image at each scale.

    Args:
        image: RGB in [0, 1], shape (3, H, W), each side at least 128.
    """
    return ColorSample(tuple(_colors(image[None], scale)[0] for scale in SCALES))


def color_loss(images: Tensor, targets: Sequence[ColorSample], directions: Tensor) -> Tensor:
    """Return the sliced Wasserstein distance of colors, squared: the mean over images and scales.

    With the colors x of an image and y of its target, both projected to a direction d and sorted,

        l_color = mean over d and i of (mean of x in bin i - mean of y in bin i)^2

    with 64 bins of equally many values (Heitz et al. 2021, "A Sliced Wasserstein Loss for Neural
    Texture Synthesis"). Gram matrices hardly measure lightness and palette, which people see first.

    Args:
        images: RGB, shape (B, 3, H, W), each side at least 8; with fewer than 64 squares at a
            scale, the scale does not count.
        targets: for each image, the colors that it should have.
        directions: unit vectors, shape (D, 3); random ones, different for each call, cover all
            directions in time.
    """
    losses = []
    for number, scale in enumerate(SCALES):
        colors = _colors(images, scale)
        if colors.shape[1] < _BINS:
            break  # A small image has too few squares.
        binned = _binned(colors, directions)
        wanted = [_binned(target.of_scale[number][None], directions) for target in targets]
        losses.append((binned - torch.cat(wanted)).square().mean())
    return torch.stack(losses).mean()


def _colors(images: Tensor, scale: int) -> Tensor:
    """Return the mean colors of squares, shape (B, N, 3)."""
    pixels = F.avg_pool2d(images, scale) if scale > 1 else images
    step = 1
    while (pixels.shape[2] // step) * (pixels.shape[3] // step) > _LARGEST_SAMPLE:
        step += 1
    return pixels[:, :, step // 2 :: step, step // 2 :: step].flatten(2).mT


def _binned(colors: Tensor, directions: Tensor) -> Tensor:
    """Return the means of sorted projections in bins, shape (B, D, 64), of colors (B, N, 3)."""
    ordered = (directions @ colors.mT).sort(-1).values
    # The number of values need not be a multiple of the number of bins.
    size = ordered.shape[-1] / _BINS
    edges = (torch.arange(_BINS + 1, device=ordered.device) * size).round().long()
    sums = F.pad(ordered.cumsum(-1), (1, 0))[..., edges]
    return sums.diff(dim=-1) / edges.diff()
