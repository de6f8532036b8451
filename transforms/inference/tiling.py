"""Stylisation in tiles, by the statistics of the whole image: for images larger than memory.

A normalisation over a tile alone would give each tile a look of its own. So the network is gone
through stage by stage. Each stage convolves tile after tile, with as much around a tile as the
convolutions reach, and sums up the statistics of what comes out; the next stage normalises by them.
At a quarter of the resolution features of the whole image are kept; before and after, where they
are large, they are computed anew for each stage. What comes out is, but for rounding, what the
network makes of the whole image.

For images whose features are too many even at a quarter of the resolution, statistics are taken
from a thumbnail, and every tile goes through the whole network once.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.hardware.precision import convolutions_in
from stylebeam.transforms.images.pixel_range import from_unit_range, largest_value, to_unit_range
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
"""The size of a thumbnail, about."""

# A tile's side, in pixels.
_TILE = 768
# What the networks accept, in pixels.
_MIN_THUMBNAIL = 32


def kept_bytes_a_pixel(network: StyleNetwork, precision: torch.dtype) -> float:
    """Return how many bytes a pixel of an image takes all the while in tiles, exactly."""
    # Three times the features of the body, and the pixels that come and go, three bytes each.
    return 3 * network.channels * precision.itemsize / STRIDE**2 + 6


class _Span(NamedTuple):
    """A part of an image's rows or columns, in blocks.

    Attributes:
        start: where it begins.
        stop: where it ends.
        before: how many blocks more a tile has in front, to convolve with.
        after: how many behind.
    """

    start: int
    stop: int
    before: int
    after: int

    def around(self, resolution: int) -> slice:
        """Return where the tile lies in the image, at so many pixels to a block's side."""
        return slice((self.start - self.before) * resolution, (self.stop + self.after) * resolution)

    def inside(self, resolution: int) -> slice:
        """Return where the span lies in its tile, at so many pixels to a block's side."""
        size = self.stop - self.start
        return slice(self.before * resolution, (self.before + size) * resolution)


class _Tile(NamedTuple):
    rows: _Span
    columns: _Span

    def around(self, features: Tensor) -> Tensor:
        """Return of features of the whole image, shape (..., H, W), what the tile has."""
        return features[..., self.rows.around(1), self.columns.around(1)]

    def inside(self, features: Tensor, resolution: int) -> Tensor:
        """Return of the tile's features, shape (..., H, W), what is not beside it."""
        return features[..., self.rows.inside(resolution), self.columns.inside(resolution)]

    def place(self, features: Tensor) -> Tensor:
        """Return of features of the whole image, shape (..., H, W), what the tile stands for."""
        return features[
            ..., self.rows.start : self.rows.stop, self.columns.start : self.columns.stop
        ]


class _Moments:
    """Mean and variance of each channel, of features that come in parts."""

    def __init__(self) -> None:
        self._count = 0
        self._mean: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0  # The sum of squared distances from the mean.

    def add(self, features: Tensor) -> None:
        """Take in a part, shape (1, C, H, W)."""
        variance, mean = (
            values[0].double() for values in torch.var_mean(features.float(), (2, 3), correction=0)
        )
        count = features[0, 0].numel()
        total = self._count + count
        apart = mean - self._mean
        self._squares = self._squares + variance * count + apart**2 * self._count * count / total
        self._mean = self._mean + apart * count / total
        self._count = total

    def normalize(self, stage: Stage, features: Tensor) -> Tensor:
        """Return features of a part, normalised by what was taken in, scaled and shifted."""
        assert isinstance(self._squares, Tensor), "there is no image without pixels"
        scale = stage.scale[0] * torch.rsqrt(self._squares / self._count + stage.epsilon).float()
        shift = stage.shift[0] - self._mean * scale
        scale, shift = (values.float()[:, None, None] for values in (scale, shift))
        return torch.addcmul(shift, features.float(), scale).to(features.dtype)


class TiledImage:
    """An image that a network stylises in tiles."""

    def __init__(self, network: StyleNetwork, pixels: Tensor, styles: Tensor) -> None:
        """Take up an image.

        Args:
            network: on the device where it is to compute.
            pixels: RGB, shape (H, W, 3), uint8 or, for 16 bits, int32; on the CPU, where they stay
                but for a tile at a time.
            styles: a style's vector, shape (1, style_size), on the network's device.
        """
        self._network = network
        self._pixels = pixels
        self._styles = styles
        height, width = pixels.shape[:2]
        # Which row and column of the image each of the framed image is.
        self._rows = _framed_indices(height, network.frame)
        self._columns = _framed_indices(width, network.frame)

    @torch.inference_mode()
    def stylize(self, statistics: Statistics, precision: torch.dtype) -> tuple[Tensor, bool]:
        """Return the stylised image.

        Args:
            statistics: of the whole image, or of a thumbnail.
            precision: of the convolutions and of what is kept of their results.

        Returns:
            Pixels as they were given, and whether all values behind them were finite.
        """
        with convolutions_in(precision, self._styles.device):
            made = self._exact(precision) if statistics == "exact" else self._by_thumbnail()
            return self._assembled(made)

    def _tiles(self, reach: int) -> list[_Tile]:
        """Return the tiles of the framed image, with so many blocks around each."""
        return [
            _Tile(rows, columns)
            for rows in _spans(len(self._rows), reach)
            for columns in _spans(len(self._columns), reach)
        ]

    def _photo(self, tile: _Tile) -> Tensor:
        """Return a tile of the framed image, packed RGB in [0, 1]."""
        rows = self._rows[tile.rows.around(STRIDE)]
        columns = self._columns[tile.columns.around(STRIDE)]
        pixels = self._pixels[rows[:, None], columns].to(self._styles.device)
        return to_unit_range(self._network.packed(pixels[None]).permute(0, 3, 1, 2))

    def _exact(self, precision: torch.dtype) -> Iterator[tuple[_Tile, Tensor]]:
        """Yield tiles and what the network makes of them, RGB in blocks, as `finish` does."""
        network, styles = self._network, self._styles
        head, tail = network.head(styles), network.tail(styles)
        tiles = self._tiles(network.head_reach)
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
        for tile in tiles:
            known = _by(moments)
            yield tile, network.finish(apply_stages(tail, self._part_of(x)(tile), known))

    def _seen(self, tile: _Tile) -> Tensor:
        """Return what the head takes of a tile: packed RGB in [-1, 1]."""
        return 2 * self._photo(tile) - 1

    def _part_of(self, kept: Tensor) -> Callable[[_Tile], Tensor]:
        """Return what takes a tile's part of features of the whole image to the device."""
        return lambda tile: tile.around(kept).to(self._styles.device)

    def _kept(self, stage: Stage, precision: torch.dtype) -> Tensor:
        """Return room for a stage's features of the whole image, shape (1, C, H / 4, W / 4)."""
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
        """Return the moments of what the first stage without known ones is to normalise.

        Args:
            stages: those that follow each other from what `part` returns.
            known: the moments of the first few of them.
            tiles: all, with as much around them as the stages reach.
            part: returns what goes into the first stage of a tile.
            kept: room for the features, if they are of a quarter of the resolution.
        """
        stage = stages[len(known)]
        moments = _Moments()
        for tile in tiles:
            x = apply_stages(stages[: len(known)], part(tile), _by(known))
            features = tile.inside(stage.convolve(x), stage.resolution)
            moments.add(features)
            if kept is not None:
                tile.place(kept).copy_(features)
        return moments

    def _rectify(self, kept: Tensor, stage: Stage, moments: _Moments) -> None:
        """Normalise and rectify features of the whole image where they are."""
        for tile in self._tiles(0):
            place = tile.place(kept)
            place.copy_(F.relu(moments.normalize(stage, place.to(self._styles.device))))

    def _add(self, x: Tensor, kept: Tensor, stage: Stage, moments: _Moments) -> None:
        """Normalise features of the whole image and add them to others, where these are."""
        for tile in self._tiles(0):
            place = tile.place(x)
            place.add_(moments.normalize(stage, tile.place(kept).to(self._styles.device)).cpu())

    def _by_thumbnail(self) -> Iterator[tuple[_Tile, Tensor]]:
        """Yield tiles and what the network makes of them, RGB in blocks, as `finish` does."""
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
        for tile in self._tiles(network.head_reach + 2 * blocks + network.tail_reach):
            yield tile, network.transform(self._photo(tile), styles, _by(moments))

    def _thumbnail(self) -> Tensor:
        """Return the image at a smaller size, RGB in [0, 1], shape (1, 3, H, W)."""
        height, width = self._pixels.shape[:2]
        # By whole factors, each pixel the mean of those that it stands for.
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
        """Return what was made of all tiles as pixels."""
        frame = self._network.frame
        height, width = self._pixels.shape[:2]
        whole = torch.empty_like(self._pixels)
        finite = True
        for tile, stylized in made:
            finite = finite and bool(stylized.isfinite().all())
            [pixels] = unpacked(from_unit_range(stylized, whole.dtype).permute(0, 2, 3, 1))
            pixels = pixels[tile.rows.inside(STRIDE), tile.columns.inside(STRIDE)]
            top, left = (STRIDE * span.start - frame for span in tile)
            # The first and the last tiles have the frame too, and what makes whole blocks.
            pixels = pixels[max(0, -top) : height - top, max(0, -left) : width - left]
            top, left = max(0, top), max(0, left)
            whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels.cpu()
        return whole, finite


def _by(known: Sequence[_Moments]) -> Callable[[Stage, Tensor], Tensor]:
    """Return what normalises the features of one stage after the other by known moments."""
    following = iter(known)
    return lambda stage, features: next(following).normalize(stage, features)


def _framed_indices(length: int, frame: int) -> Tensor:
    """Return which pixel of a row each pixel of the framed row is."""
    row = torch.arange(length, dtype=torch.float64).expand(1, 1, frame + 1, length)
    return framed(row, frame)[0, 0, 0].long()


def _spans(pixels: int, reach: int) -> list[_Span]:
    """Return the parts of so many pixels of the framed image, about alike."""
    blocks = pixels // STRIDE
    count = -(-pixels // _TILE)
    ends = [blocks * number // count for number in range(count + 1)]
    return [
        _Span(start, stop, min(reach, start), min(reach, blocks - stop))
        for start, stop in itertools.pairwise(ends)
    ]
