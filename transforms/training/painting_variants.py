"""The styles that a predictor learns from: many pictures made of each painting."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from stylebeam.transforms.losses.color import ColorSample, sample_colors
from stylebeam.transforms.losses.loss_network import LossNetwork
from stylebeam.transforms.prediction.statistics import (
    STYLE_SIZE,
    FeatureMoments,
    PaintingStatistics,
    at_style_size,
    measure_painting,
    mixed_statistics,
)
from stylebeam.transforms.training.data import Draw, read_style_image

_SMALLEST_PART = 0.5  # of a painting, as a part of its sides
_SMALLEST_SIZE = 288  # short side of a variant in pixels
_MOST_MIXED = 0.5  # the part of the second painting in a mixture, at most


class StyleTarget(NamedTuple):
    """A style as a training sees it.

    Attributes:
        statistics: of its painting.
        colors: of its painting.
    """

    statistics: PaintingStatistics
    colors: ColorSample


def target_of(network: LossNetwork, painting: Tensor) -> StyleTarget:
    """Return a painting, RGB in [0, 1] of shape (1, 3, H, W), as a style."""
    return StyleTarget(measure_painting(network, painting), sample_colors(painting[0]))


def variant(paintings: Sequence[Path], number: int, draw: Draw, device: torch.device) -> Tensor:
    """Return a picture made of a painting: a part of it, resized, mirrored, in other colors.

    Args:
        paintings: the paintings, which lend each other their colors.
        number: of the painting.
        draw: the random numbers.
        device: where to compute.

    Returns:
        RGB in [0, 1], shape (1, 3, H, W).
    """
    painting = read_style_image(paintings[number], None).to(device)
    height, width = painting.shape[2:]
    part = draw.uniform(_SMALLEST_PART, 1)
    rows, columns = max(32, round(part * height)), max(32, round(part * width))
    top, left = draw.integer(0, max(0, height - rows)), draw.integer(0, max(0, width - columns))
    made = painting[:, :, top : top + rows, left : left + columns]
    made = at_style_size(made, draw.integer(_SMALLEST_SIZE, STYLE_SIZE))
    if draw.integer(0, 1):
        made = made.flip(3)
    change = draw.integer(0, 5)
    if change == 0:
        other = read_style_image(paintings[draw.integer(0, len(paintings) - 1)], 128).to(device)
        made = _with_colors_of(made, other)
    elif change == 1:
        order = torch.randperm(3, generator=draw.generator)
        made = made[:, order]
    elif change == 2:
        gamma = 2 ** draw.uniform(-0.7, 0.7)
        made = made.clamp_min(1e-4) ** gamma
    return made.clamp(0, 1)


def mixed_target(targets: Sequence[StyleTarget], draw: Draw) -> StyleTarget:
    """Return a collage of two of the targets."""
    one, other = (targets[draw.integer(0, len(targets) - 1)] for _ in range(2))
    part = draw.uniform(0, _MOST_MIXED)
    statistics = mixed_statistics(
        [as_float(one.statistics), as_float(other.statistics)], [1 - part, part]
    )
    colors = []
    for of_one, of_other in zip(one.colors.of_scale, other.colors.of_scale, strict=True):
        count = min(len(of_one), len(of_other))
        from_other = round(part * count)
        first, second = (
            torch.randperm(len(each), generator=draw.generator).to(each.device)
            for each in (of_one, of_other)
        )
        colors.append(
            torch.cat([of_one[first[: count - from_other]], of_other[second[:from_other]]])
        )
    return StyleTarget(statistics, ColorSample(tuple(colors)))


def halved(target: StyleTarget) -> StyleTarget:
    """Return a target in float16, to keep many of them."""

    def moments(of: FeatureMoments) -> FeatureMoments:
        return FeatureMoments(
            {layer: each.half() for layer, each in of.means.items()},
            {layer: each.half() for layer, each in of.grams.items()},
        )

    whole, half, colors = target.statistics
    return StyleTarget(PaintingStatistics(moments(whole), moments(half), colors), target.colors)


def as_float(statistics: PaintingStatistics) -> PaintingStatistics:
    """Return statistics in float32."""

    def moments(of: FeatureMoments) -> FeatureMoments:
        return FeatureMoments(
            {layer: each.float() for layer, each in of.means.items()},
            {layer: each.float() for layer, each in of.grams.items()},
        )

    whole, half, colors = statistics
    return PaintingStatistics(moments(whole), moments(half), colors)


def _with_colors_of(image: Tensor, other: Tensor) -> Tensor:
    """Return an image with the mean and covariance of another's colors, (1, 3, H, W)."""
    pixels, others = image[0].flatten(1).double(), other[0].flatten(1).double()
    factors = [
        torch.linalg.cholesky(torch.cov(each) + 1e-4 * torch.eye(3).to(each))
        for each in (pixels, others)
    ]
    centered = pixels - pixels.mean(1, keepdim=True)
    whitened = torch.linalg.solve_triangular(factors[0], centered, upper=False)
    recolored = factors[1] @ whitened + others.mean(1, keepdim=True)
    return recolored.view(image.shape).to(image)
