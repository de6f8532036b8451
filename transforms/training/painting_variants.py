"""Variants of paintings: many pictures made of each, from which a predictor learns."""

import torch
from torch import Tensor

from stylebeam.transforms.prediction.statistics import STYLE_SIZE, at_style_size
from stylebeam.transforms.training.data import Draw, TrainingImages, at_short_side

_SMALLEST_PART = 0.5  # of a painting's sides
_SMALLEST_SIDE = 32  # of a part of a painting, in pixels, if the painting is as large
_SMALLEST_SIZE = 288  # of a variant's short side, in pixels
_PALETTE_SIZE = 128  # short side, in pixels, of a painting that lends its colors
_MOST_STOPS = 0.7  # The exponent of a gamma correction is 2 to the power of at most this.


def variant(painting: Tensor, paintings: TrainingImages, draw: Draw) -> Tensor:
    """Return a picture made of a painting: a part, resized, perhaps mirrored, in other colors.

    A sixth of the variants have the colors of another painting, a sixth have the color channels in
    another order, and a sixth are lighter or darker.

    Args:
        painting: RGB in [0, 1], shape (1, 3, H, W), of any size.
        paintings: the paintings whose colors can be taken.
        draw: the random numbers.

    Returns:
        RGB in [0, 1], shape (1, 3, H', W'), the short side from 288 to 512.

    Raises:
        OSError, ImageError: as `TrainingImages.drawn`.
    """
    height, width = painting.shape[2:]
    part = draw.uniform(_SMALLEST_PART, 1)
    rows, columns = (max(_SMALLEST_SIDE, round(part * side)) for side in (height, width))
    top, left = draw.integer(0, max(0, height - rows)), draw.integer(0, max(0, width - columns))
    made = painting[:, :, top : top + rows, left : left + columns]
    made = at_style_size(made, draw.integer(_SMALLEST_SIZE, STYLE_SIZE))
    if draw.integer(0, 1):
        made = made.flip(3)
    change = draw.integer(0, 5)
    if change == 0:
        other = at_short_side(paintings.drawn(draw), _PALETTE_SIZE)
        made = _with_colors_of(made, other.to(made))
    elif change == 1:
        made = made[:, torch.randperm(3, generator=draw.generator)]
    elif change == 2:
        made = made.clamp_min(1e-4) ** 2 ** draw.uniform(-_MOST_STOPS, _MOST_STOPS)
    return made.clamp(0, 1)


def _with_colors_of(image: Tensor, other: Tensor) -> Tensor:
    """Return an image with the mean and the covariance of another image's colors.

    Args:
        image: RGB, shape (1, 3, H, W).
        other: RGB, shape (1, 3, H', W').
    """
    pixels, others = image[0].flatten(1).double(), other[0].flatten(1).double()
    # A small variance is added, so that an image of a single color has a factor too.
    factors = [
        torch.linalg.cholesky(torch.cov(each) + 1e-4 * torch.eye(3).to(each))
        for each in (pixels, others)
    ]
    centered = pixels - pixels.mean(1, keepdim=True)
    whitened = torch.linalg.solve_triangular(factors[0], centered, upper=False)
    recolored = factors[1] @ whitened + others.mean(1, keepdim=True)
    return recolored.view(image.shape).to(image)
