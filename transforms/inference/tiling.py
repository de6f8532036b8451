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

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.engine import NO_CONTROL, Control
from stylebeam.transforms.hardware.precision import convolutions_in
from stylebeam.transforms.images.pixels import from_unit_range, largest_value, to_unit_range
from stylebeam.transforms.inference.tiles import Moments, Tile, divide
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

_MIN_THUMBNAIL = 32  # The shortest side that the networks accept, in pixels.


def kept_bytes_per_pixel(network: StyleNetwork, precision: torch.dtype) -> float:
    """Return how many bytes each pixel of an image takes during the whole computation.

    With `statistics: exact`; the memory for one tile is not included.
    """
    # Three copies of the body's features, and the pixels of input and output, three bytes each.
    return 3 * network.channels * precision.itemsize / STRIDE**2 + 6


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
        self._rows = framed_indices(height, network.frame)
        self._columns = framed_indices(width, network.frame)

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

    def _tiles(self, reach: int) -> list[Tile]:
        """Return the tiles of the framed image, with a margin of `reach` blocks around each."""
        return [
            Tile(rows, columns)
            for rows in divide(len(self._rows), reach)
            for columns in divide(len(self._columns), reach)
        ]

    def _photo(self, tile: Tile) -> Tensor:
        """Return a tile of the framed image: packed RGB in [0, 1]."""
        rows = self._rows[tile.rows.around(STRIDE)]
        columns = self._columns[tile.columns.around(STRIDE)]
        pixels = self._pixels[rows[:, None], columns].to(self._styles.device)
        return to_unit_range(self._network.packed(pixels[None]).permute(0, 3, 1, 2))

    def _exact(self, precision: torch.dtype) -> Iterator[tuple[Tile, Tensor]]:
        """Yield each tile with the network's output for it: RGB in blocks, as `finish` returns."""
        network, styles = self._network, self._styles
        head, tail = network.head(styles), network.tail(styles)
        tiles = self._tiles(network.head_reach)
        output = network.output(styles)
        passes = len(head) + 2 * len(network.body(styles)) + len(tail) + (2 if output else 1)
        self._visits = passes * len(tiles)
        moments: list[Moments] = []
        for _ in head[:-1]:
            moments.append(self._moments(head, moments, tiles, self._seen))
        x = self._kept(head[-1], precision)
        moments.append(self._moments(head, moments, tiles, self._seen, x))
        self._rectify(x, head[-1], moments[-1])
        y, z = torch.empty_like(x), torch.empty_like(x)
        for first, second in network.body(styles):
            of_first = self._moments([first], [], self._tiles(first.reach), self._part_of(x), y)
            self._rectify(y, first, of_first)
            of_second = self._moments([second], [], self._tiles(second.reach), self._part_of(y), z)
            self._add(x, z, second, of_second)
        del y, z
        tiles = self._tiles(network.tail_reach)
        moments = []
        last = [*tail, output] if output else tail
        for _ in last:
            moments.append(self._moments(last, moments, tiles, self._part_of(x)))
        for tile in self._visiting(tiles):
            known = _by(moments)
            y = apply_stages(tail, self._part_of(x)(tile), known)
            if output:
                y = known(output, output.convolve(y))
            yield tile, network.finish(y, styles)

    def _seen(self, tile: Tile) -> Tensor:
        """Return the input of the head for a tile: packed RGB in [-1, 1]."""
        return 2 * self._photo(tile) - 1

    def _part_of(self, kept: Tensor) -> Callable[[Tile], Tensor]:
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
        known: Sequence[Moments],
        tiles: Sequence[Tile],
        part: Callable[[Tile], Tensor],
        kept: Tensor | None = None,
    ) -> Moments:
        """Return the moments of the first stage whose moments are not known.

        Args:
            stages: consecutive stages; the first takes what `part` returns.
            known: the moments of the first few stages.
            tiles: all tiles, with margins as wide as the stages reach.
            part: returns the input of the first stage for a tile.
            kept: memory for the features, if they are at a quarter of the resolution.
        """
        stage = stages[len(known)]
        moments = Moments()
        for tile in self._visiting(tiles):
            x = apply_stages(stages[: len(known)], part(tile), _by(known))
            features = tile.inside(stage.convolve(x), stage.resolution)
            moments.add(features)
            if kept is not None:
                tile.place(kept).copy_(features)
        return moments

    def _visiting(self, tiles: Sequence[Tile]) -> Iterator[Tile]:
        """Yield tiles, and report before each the part of all visits that is done."""
        for tile in tiles:
            self._control.step(self._visited / self._visits)
            yield tile
            self._visited += 1

    def _rectify(self, kept: Tensor, stage: Stage, moments: Moments) -> None:
        """Normalize features of the whole image and apply the ReLU, in place."""
        for tile in self._tiles(0):
            place = tile.place(kept)
            place.copy_(F.relu(moments.normalize(stage, place.to(self._styles.device))))

    def _add(self, x: Tensor, kept: Tensor, stage: Stage, moments: Moments) -> None:
        """Normalize features of the whole image and add them to `x`, in place."""
        for tile in self._tiles(0):
            place = tile.place(x)
            place.add_(moments.normalize(stage, tile.place(kept).to(self._styles.device)).cpu())

    def _by_thumbnail(self) -> Iterator[tuple[Tile, Tensor]]:
        """Yield each tile with the network's output for it: RGB in blocks, as `finish` returns."""
        network, styles = self._network, self._styles
        moments: list[Moments] = []

        def take(stage: Stage, features: Tensor) -> Tensor:
            moments.append(Moments())
            moments[-1].add(features)
            return moments[-1].normalize(stage, features)

        thumbnail = framed(self.thumbnail(), network.frame)
        packed = network.packed(thumbnail.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        network.transform(packed, styles, take)
        reach_of_body = sum(stage.reach for block in network.body(styles) for stage in block)
        tiles = self._tiles(network.head_reach + reach_of_body + network.tail_reach)
        self._visits = len(tiles)
        for tile in self._visiting(tiles):
            yield tile, network.transform(self._photo(tile), styles, _by(moments))

    def thumbnail(self) -> Tensor:
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

    def _assembled(self, made: Iterator[tuple[Tile, Tensor]]) -> tuple[Tensor, bool]:
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


def _by(known: Sequence[Moments]) -> Callable[[Stage, Tensor], Tensor]:
    """Return a function that normalizes the features of consecutive stages with known moments."""
    following = iter(known)
    return lambda stage, features: next(following).normalize(stage, features)


def framed_indices(length: int, frame: int) -> Tensor:
    """Return, for each pixel of a framed row, the index of the pixel that it copies."""
    row = torch.arange(length, dtype=torch.float64).expand(1, 1, frame + 1, length)
    return framed(row, frame)[0, 0, 0].long()
