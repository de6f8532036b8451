"""What a training compares pictures with: the statistics and colors of paintings."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from stylebeam.transforms.losses.color import ColorSample, sample_colors
from stylebeam.transforms.losses.loss_network import LossNetwork
from stylebeam.transforms.prediction.statistics import (
    FeatureMoments,
    PaintingStatistics,
    measure_painting,
    mixed_statistics,
)
from stylebeam.transforms.training.data import Draw

_LARGEST_PART = 0.5  # of the second painting in a collage


class StyleTarget(NamedTuple):
    """A style as a training sees it.

    Attributes:
        statistics: of its painting.
        colors: of its painting.
    """

    statistics: PaintingStatistics
    colors: ColorSample


def target_of(network: LossNetwork, painting: Tensor) -> StyleTarget:
    """Return the style of a painting.

    Args:
        network: as `measure_painting` takes it.
        painting: RGB in [0, 1], shape (1, 3, H, W), each side at least 128.
    """
    return StyleTarget(measure_painting(network, painting), sample_colors(painting[0]))


def collage(targets: Sequence[StyleTarget], draw: Draw) -> StyleTarget:
    """Return the style of a collage of two random paintings.

    Args:
        targets: the styles of the paintings.
        draw: the random numbers.
    """
    one, other = (targets[draw.integer(0, len(targets) - 1)] for _ in range(2))
    part = draw.uniform(0, _LARGEST_PART)
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
    """Return a style with its features in float16, so that many fit into memory."""
    return StyleTarget(_with_features(target.statistics, Tensor.half), target.colors)


def as_float(statistics: PaintingStatistics) -> PaintingStatistics:
    """Return statistics in float32."""
    return _with_features(statistics, Tensor.float)


def _with_features(
    statistics: PaintingStatistics, convert: Callable[[Tensor], Tensor]
) -> PaintingStatistics:
    """Return statistics with a function applied to the moments of features."""

    def converted(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {layer: convert(each) for layer, each in tensors.items()}

    whole, half = (
        FeatureMoments(converted(moments.means), converted(moments.grams))
        for moments in (statistics.whole, statistics.half)
    )
    return PaintingStatistics(whole, half, statistics.colors)
