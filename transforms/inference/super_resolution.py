"""Super-resolution by one pass of a trained network (Johnson et al. 2016)."""

import itertools
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.backends import backend_for
from stylebeam.transforms.backends.computation import ONE_IMAGE, Computation, Workload
from stylebeam.transforms.checkpoints import Checkpoint, CheckpointError
from stylebeam.transforms.engine import NO_CONTROL, Control, Engine
from stylebeam.transforms.hardware.devices import fast_precision
from stylebeam.transforms.hardware.precision import compute_finite
from stylebeam.transforms.images.pixels import (
    from_unit_range,
    precision_for,
    to_unit_range,
    widen_uint16,
)
from stylebeam.transforms.networks.super_resolution import MIN_SIDE, SuperResolutionNetwork

TILE_SIDE = 256
"""The side of a tile of the small image, in pixels: it decides how much memory is needed."""

# The receptive field: 4 pixels for the first convolution, 8 for the residual blocks, 3 for the
# convolutions after upsampling; rounded up.
_REACH = 16
# Values that each pixel of an enlarged tile has at the peak: two layers of 64 channels.
_PEAK_VALUES = 128


class SuperResolutionEngine(Engine):
    """A super-resolution network on a device, which enlarges images one at a time.

    It works in tiles. Batch normalization has constant statistics, so tiles that overlap far enough
    are equal to parts of the whole enlarged image.

    Attributes:
        scale: by which each side grows.
        precision: of the convolutions.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        precision: torch.dtype | None = None,
        workload: Workload = ONE_IMAGE,
    ) -> None:
        """Build the network and move it to the device.

        Args:
            checkpoint: the network and its weights.
            device: where to compute.
            precision: of the convolutions; by default the fastest that keeps the quality.
            workload: how the backend will be used.

        Raises:
            CheckpointError: the checkpoint is of another network, or its tensors do not fit.
        """
        network = checkpoint.build()
        if not isinstance(network, SuperResolutionNetwork):
            raise CheckpointError(
                f"The checkpoint is of the network {checkpoint.network}, not super_resolution."
            )
        self.precision = precision or fast_precision(device)
        self.scale = network.factor
        self.cores_wanted = 1 if workload.at_once > 1 else None
        self._backend = backend_for(_Enlargement(network), device, workload)

    def transform(self, pixels: Tensor, control: Control = NO_CONTROL) -> Tensor:
        """Return the image `scale` times as wide and as high; 16 bits are computed in float32."""
        height, width = pixels.shape[1:]
        padding = (0, max(0, MIN_SIDE - width), 0, max(0, MIN_SIDE - height))
        padded = pixels if not any(padding) else F.pad(pixels, padding, mode="replicate")
        precision = precision_for(pixels, self.precision)
        large = torch.empty((self.scale * height, self.scale * width, 3), dtype=pixels.dtype)
        corners = list(itertools.product(range(0, height, TILE_SIDE), range(0, width, TILE_SIDE)))
        for number, (top, left) in enumerate(corners):
            control.step(number / len(corners))
            rows, columns = slice(top, top + TILE_SIDE), slice(left, left + TILE_SIDE)
            tile = self._tile(padded, top, left, precision)
            place = large[self._scaled(rows), self._scaled(columns)]
            place.copy_(tile[: place.shape[0], : place.shape[1]])
        control.step(1.0)
        return large.permute(2, 0, 1)

    def memory_needed(self, width: int, height: int) -> int:
        side = TILE_SIDE + 2 * _REACH
        tile = min(width, side) * min(height, side) * self.scale**2 * _PEAK_VALUES
        picture = 3 * width * height * self.scale**2
        return tile * self.precision.itemsize + picture

    def _scaled(self, part: slice) -> slice:
        return slice(self.scale * part.start, self.scale * part.stop)

    def _tile(self, photo: Tensor, top: int, left: int, precision: torch.dtype) -> Tensor:
        """Return the enlarged tile at a row and a column, shape (H, W, 3)."""
        above, before = min(top, _REACH), min(left, _REACH)
        around = photo[
            :, top - above : top + TILE_SIDE + _REACH, left - before : left + TILE_SIDE + _REACH
        ]
        pixels = widen_uint16(around).permute(1, 2, 0)[None]
        [large] = compute_finite(partial(self._backend, pixels, []), precision)
        inside = large[self.scale * above :, self.scale * before :]
        return inside[: self.scale * TILE_SIDE, : self.scale * TILE_SIDE]


class _Enlargement(Computation):
    """A super-resolution network on integer pixels."""

    def __init__(self, network: SuperResolutionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        large = self.network(to_unit_range(pixels.permute(0, 3, 1, 2)))
        return from_unit_range(large, pixels.dtype).permute(0, 2, 3, 1), large.isfinite().all()


def reduced(images: Tensor, factor: int) -> Tensor:
    """Return images reduced as in the literature: bicubic, with antialiasing, rounded to 8 bits.

    Args:
        images: RGB in [0, 1], shape (B, 3, H, W), each side at least `factor`.
        factor: the divisor of each side; the result is rounded down.
    """
    size = [side // factor for side in images.shape[2:]]
    small = F.interpolate(images, size, mode="bicubic", antialias=True)
    return (small * 255).round().clamp(0, 255) / 255
