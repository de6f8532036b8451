"""Tiles of an image, with margins for the convolutions, and statistics over all tiles."""

import itertools
from typing import NamedTuple

import torch
from torch import Tensor

from stylebeam.transforms.networks.style_network import STRIDE, Stage

TILE_SIDE = 768
"""The side of a tile, in pixels."""


class Span(NamedTuple):
    """A range of an image's rows or columns, in blocks of STRIDE pixels.

    Attributes:
        start: the first block.
        stop: the block after the last.
        before: the width of the margin before it, which convolutions read.
        after: the width of the margin after it.
    """

    start: int
    stop: int
    before: int
    after: int

    def around(self, resolution: int) -> slice:
        """Return the range with its margins in the image, at `resolution` pixels for each block."""
        return slice((self.start - self.before) * resolution, (self.stop + self.after) * resolution)

    def inside(self, resolution: int) -> slice:
        """Return the range in its tile, at `resolution` pixels for each block."""
        size = self.stop - self.start
        return slice(self.before * resolution, (self.before + size) * resolution)


class Tile(NamedTuple):
    """A rectangle of blocks of an image.

    Attributes:
        rows: its rows.
        columns: its columns.
    """

    rows: Span
    columns: Span

    def around(self, features: Tensor) -> Tensor:
        """Return the tile's part of the whole image's features, shape (..., H, W), with margins."""
        return features[..., self.rows.around(1), self.columns.around(1)]

    def inside(self, features: Tensor, resolution: int) -> Tensor:
        """Return features of the tile, shape (..., H, W), without its margins."""
        return features[..., self.rows.inside(resolution), self.columns.inside(resolution)]

    def place(self, features: Tensor) -> Tensor:
        """Return the tile's part of the whole image's features, shape (..., H, W), no margins."""
        return features[
            ..., self.rows.start : self.rows.stop, self.columns.start : self.columns.stop
        ]


class Moments:
    """The mean and variance of each channel, accumulated over tiles (Chan et al. 1979)."""

    def __init__(self) -> None:
        self._count = 0
        self._mean: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0  # The sum of squared distances from the mean.

    def add(self, features: Tensor) -> None:
        """Add the features of a tile, shape (1, C, H, W)."""
        variance, mean = (
            values[0].double() for values in torch.var_mean(features.float(), (2, 3), correction=0)
        )
        count = features[0, 0].numel()
        total = self._count + count
        difference = mean - self._mean
        self._squares = (
            self._squares + variance * count + difference**2 * self._count * count / total
        )
        self._mean = self._mean + difference * count / total
        self._count = total

    def normalize(self, stage: Stage, features: Tensor) -> Tensor:
        """Return a tile's features, normalized with the accumulated moments, scaled and shifted."""
        assert isinstance(self._squares, Tensor), "every image has pixels"
        scale = stage.scale[0] * torch.rsqrt(self._squares / self._count + stage.epsilon).float()
        shift = stage.shift[0] - self._mean * scale
        scale, shift = (values.float()[:, None, None] for values in (scale, shift))
        return torch.addcmul(shift, features.float(), scale).to(features.dtype)


def divide(pixels: int, reach: int) -> list[Span]:
    """Divide a side of the framed image, of `pixels` pixels, into ranges of about equal length."""
    blocks = pixels // STRIDE
    count = -(-pixels // TILE_SIDE)
    ends = [blocks * number // count for number in range(count + 1)]
    return [
        Span(start, stop, min(reach, start), min(reach, blocks - stop))
        for start, stop in itertools.pairwise(ends)
    ]
