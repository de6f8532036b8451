"""Stylization in tiles with the statistics of the whole image, for images larger than memory.

Instance normalization over a single tile would give each tile a different look. So the network runs
stage by stage: each stage convolves all tiles, with a margin as wide as the receptive field of the
convolutions, and accumulates the mean and variance of the whole image; the next stage normalizes
with them. At a quarter of the resolution the features of the whole image are kept. Before and after
that, where features are larger, each stage computes them again. Up to rounding, the result is that
of the network on the whole image.

For images whose features do not fit into memory even at a quarter of the resolution, the statistics
come from a thumbnail, and each tile passes through the whole network once.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.engine import NO_CONTROL, Control
from stylebeam.transforms.hardware.precision import convolutions_in
from stylebeam.transforms.images.pixels import from_unit_range, largest_value, to_unit_range
from stylebeam.transforms.networks.style_network import (
    STRIDE,
    Stage,
    StyleNetwork,
    apply_stages,
    framed,
    unpacked,
)

Statistics = Literal["exact", "thumbnail"]

THUMBNAIL_PIXELS = 1536**2
"""The approximate size of a thumbnail."""

_TILE = 768  # The side of a tile, in pixels.
_MIN_THUMBNAIL = 32  # The shortest side that the networks accept, in pixels.


def kept_bytes_a_pixel(network: StyleNetwork, precision: torch.dtype) -> float:
    """Return how many bytes each pixel of an image takes during the whole computation.

    With `statistics: exact`; the memory for one tile is not included.
    """
    # Three copies of the body's features, and the pixels of input and output, three bytes each.
    return 3 * network.channels * precision.itemsize / STRIDE**2 + 6


class _Span(NamedTuple):
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


class _Tile(NamedTuple):
    rows: _Span
    columns: _Span

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


class _Moments:
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


class TiledImage:
    """An image that a network stylizes in tiles."""

    def __init__(
        self,
        network: StyleNetwork,
        pixels: Tensor,
        styles: Tensor,
        control: Control = NO_CONTROL,
    ) -> None:
        """Store the image.

        Args:
            network: on the device that computes.
            pixels: RGB, shape (H, W, 3), uint8 or, for 16 bits, int32; on the CPU, from where one
                tile at a time goes to the device.
            styles: a style's vector, shape (1, style_size), on the network's device.
            control: is told of the progress, and may cancel the work.
        """
        self._network = network
        self._control = control
        self._visited = 0
        self._pixels = pixels
        self._styles = styles
        height, width = pixels.shape[:2]
        # Which row and column of the image each of the framed image is.
        self._rows = _framed_indices(height, network.frame)
        self._columns = _framed_indices(width, network.frame)

    @torch.inference_mode()
    def stylize(self, statistics: Statistics, precision: torch.dtype) -> tuple[Tensor, bool]:
        """Return the stylized image.

        Args:
            statistics: of the whole image, or of a thumbnail.
            precision: of the convolutions, and of the features that are kept.

        Returns:
            Pixels of the given type and shape, and whether all values were finite.

        Raises:
            Canceled: the caller has canceled the work.
        """
        self._visited = 0
        with convolutions_in(precision, self._styles.device):
            made = self._exact(precision) if statistics == "exact" else self._by_thumbnail()
            return self._assembled(made)

    def _tiles(self, reach: int) -> list[_Tile]:
        """Return the tiles of the framed image, with a margin of `reach` blocks around each."""
        return [
            _Tile(rows, columns)
            for rows in _spans(len(self._rows), reach)
            for columns in _spans(len(self._columns), reach)
        ]

    def _photo(self, tile: _Tile) -> Tensor:
        """Return a tile of the framed image: packed RGB in [0, 1]."""
        rows = self._rows[tile.rows.around(STRIDE)]
        columns = self._columns[tile.columns.around(STRIDE)]
        pixels = self._pixels[rows[:, None], columns].to(self._styles.device)
        return to_unit_range(self._network.packed(pixels[None]).permute(0, 3, 1, 2))

    def _exact(self, precision: torch.dtype) -> Iterator[tuple[_Tile, Tensor]]:
        """Yield each tile with the network's output for it: RGB in blocks, as `finish` returns."""
        network, styles = self._network, self._styles
        head, tail = network.head(styles), network.tail(styles)
        tiles = self._tiles(network.head_reach)
        passes = len(head) + 2 * len(network.body(styles)) + len(tail) + 1
        self._visits = passes * len(tiles)
        moments: list[_Moments] = []
        for _ in head[:-1]:
            moments.append(self._moments(head, moments, tiles, self._seen))
        x = self._kept(head[-1], precision)
        moments.append(self._moments(head, moments, tiles, self._seen, x))
        self._rectify(x, head[-1], moments[-1])
        y, z = torch.empty_like(x), torch.empty_like(x)
        tiles = self._tiles(1)
        for first, second in network.body(styles):
            of_first = self._moments([first], [], tiles, self._part_of(x), y)
            self._rectify(y, first, of_first)
            of_second = self._moments([second], [], tiles, self._part_of(y), z)
            self._add(x, z, second, of_second)
        del y, z
        tiles = self._tiles(network.tail_reach)
        moments = []
        for _ in tail:
            moments.append(self._moments(tail, moments, tiles, self._part_of(x)))
        for tile in self._visiting(tiles):
            known = _by(moments)
            yield tile, network.finish(apply_stages(tail, self._part_of(x)(tile), known))

    def _seen(self, tile: _Tile) -> Tensor:
        """Return the input of the head for a tile: packed RGB in [-1, 1]."""
        return 2 * self._photo(tile) - 1

    def _part_of(self, kept: Tensor) -> Callable[[_Tile], Tensor]:
        """Return a function that moves a tile's part of kept features to the device."""
        return lambda tile: tile.around(kept).to(self._styles.device)

    def _kept(self, stage: Stage, precision: torch.dtype) -> Tensor:
        """Return memory for a stage's features of the whole image, shape (1, C, H / 4, W / 4)."""
        height, width = (len(side) // STRIDE for side in (self._rows, self._columns))
        return torch.empty(
            (1, stage.scale.shape[1], height, width),
            dtype=precision,
            memory_format=torch.channels_last,
        )

    def _moments(
        self,
        stages: Sequence[Stage],
        known: Sequence[_Moments],
        tiles: Sequence[_Tile],
        part: Callable[[_Tile], Tensor],
        kept: Tensor | None = None,
    ) -> _Moments:
        """Return the moments of the first stage whose moments are not known.

        Args:
            stages: consecutive stages; the first takes what `part` returns.
            known: the moments of the first few stages.
            tiles: all tiles, with margins as wide as the stages reach.
            part: returns the input of the first stage for a tile.
            kept: memory for the features, if they are at a quarter of the resolution.
        """
        stage = stages[len(known)]
        moments = _Moments()
        for tile in self._visiting(tiles):
            x = apply_stages(stages[: len(known)], part(tile), _by(known))
            features = tile.inside(stage.convolve(x), stage.resolution)
            moments.add(features)
            if kept is not None:
                tile.place(kept).copy_(features)
        return moments

    def _visiting(self, tiles: Sequence[_Tile]) -> Iterator[_Tile]:
        """Yield tiles, and report before each the part of all visits that is done."""
        for tile in tiles:
            self._control.step(self._visited / self._visits)
            yield tile
            self._visited += 1

    def _rectify(self, kept: Tensor, stage: Stage, moments: _Moments) -> None:
        """Normalize features of the whole image and apply the ReLU, in place."""
        for tile in self._tiles(0):
            place = tile.place(kept)
            place.copy_(F.relu(moments.normalize(stage, place.to(self._styles.device))))

    def _add(self, x: Tensor, kept: Tensor, stage: Stage, moments: _Moments) -> None:
        """Normalize features of the whole image and add them to `x`, in place."""
        for tile in self._tiles(0):
            place = tile.place(x)
            place.add_(moments.normalize(stage, tile.place(kept).to(self._styles.device)).cpu())

    def _by_thumbnail(self) -> Iterator[tuple[_Tile, Tensor]]:
        """Yield each tile with the network's output for it: RGB in blocks, as `finish` returns."""
        network, styles = self._network, self._styles
        moments: list[_Moments] = []

        def take(stage: Stage, features: Tensor) -> Tensor:
            moments.append(_Moments())
            moments[-1].add(features)
            return moments[-1].normalize(stage, features)

        thumbnail = framed(self._thumbnail(), network.frame)
        packed = network.packed(thumbnail.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        network.transform(packed, styles, take)
        blocks = len(network.body(styles))
        tiles = self._tiles(network.head_reach + 2 * blocks + network.tail_reach)
        self._visits = len(tiles)
        for tile in self._visiting(tiles):
            yield tile, network.transform(self._photo(tile), styles, _by(moments))

    def _thumbnail(self) -> Tensor:
        """Return a smaller version of the image, RGB in [0, 1], shape (1, 3, H, W)."""
        height, width = self._pixels.shape[:2]
        # By integer factors: each pixel is the mean of a rectangle of pixels.
        factor = max(1, round((height * width / THUMBNAIL_PIXELS) ** 0.5))
        factors = [min(factor, max(1, side // _MIN_THUMBNAIL)) for side in (height, width)]
        bands = [
            F.avg_pool2d(band.permute(2, 0, 1)[None].float(), factors)
            for band in self._pixels.split(factors[0] * 64)
            if len(band) >= factors[0]
        ]
        thumbnail = torch.cat(bands, 2) / largest_value(self._pixels.dtype)
        return thumbnail.to(self._styles.device)

    def _assembled(self, made: Iterator[tuple[_Tile, Tensor]]) -> tuple[Tensor, bool]:
        """Return the pixels of the whole image, and whether all values were finite."""
        frame = self._network.frame
        height, width = self._pixels.shape[:2]
        whole = torch.empty_like(self._pixels)
        finite = True
        for tile, stylized in made:
            finite = finite and bool(stylized.isfinite().all())
            [pixels] = unpacked(from_unit_range(stylized, whole.dtype).permute(0, 2, 3, 1))
            pixels = pixels[tile.rows.inside(STRIDE), tile.columns.inside(STRIDE)]
            top, left = (STRIDE * span.start - frame for span in tile)
            # The outermost tiles include the frame and the padding to whole blocks.
            pixels = pixels[max(0, -top) : height - top, max(0, -left) : width - left]
            top, left = max(0, top), max(0, left)
            whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels.cpu()
        return whole, finite


def _by(known: Sequence[_Moments]) -> Callable[[Stage, Tensor], Tensor]:
    """Return a function that normalizes the features of consecutive stages with known moments."""
    following = iter(known)
    return lambda stage, features: next(following).normalize(stage, features)


def _framed_indices(length: int, frame: int) -> Tensor:
    """Return, for each pixel of a framed row, the index of the pixel that it copies."""
    row = torch.arange(length, dtype=torch.float64).expand(1, 1, frame + 1, length)
    return framed(row, frame)[0, 0, 0].long()


def _spans(pixels: int, reach: int) -> list[_Span]:
    """Divide a side of the framed image, of `pixels` pixels, into ranges of about equal length."""
    blocks = pixels // STRIDE
    count = -(-pixels // _TILE)
    ends = [blocks * number // count for number in range(count + 1)]
    return [
        _Span(start, stop, min(reach, start), min(reach, blocks - stop))
        for start, stop in itertools.pairwise(ends)
    ]
