"""Super-resolution by one pass of a trained network (Johnson et al. 2016)."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.backends import backend_for
from stylebeam.transforms.backends.computation import ONE_IMAGE, Computation, Workload
from stylebeam.transforms.checkpoints import Checkpoint, CheckpointError
from stylebeam.transforms.hardware.devices import fast_precision
from stylebeam.transforms.hardware.precision import compute_finite
from stylebeam.transforms.images.pixels import (
    from_unit_range,
    precision_for,
    to_unit_range,
    widen_uint16,
)
from stylebeam.transforms.networks.super_resolution import MIN_SIDE, SuperResolutionNetwork

# Of the small image, in pixels. Memory goes with the tile, not with the image.
_TILE = 256
# An output pixel depends on input pixels so far away, or less: 4 for the first convolution, 8 for
# the residual blocks, 3 for those on the way up.
_REACH = 16


class SuperResolver:
    """A super-resolution network on a device, ready to enlarge images one at a time.

    It works tile by tile. Batch normalisation has constant statistics, so that tiles which overlap
    far enough are parts of what the whole image would be.

    Calls from several threads are safe: nothing is kept between them.

    Attributes:
        factor: by which each side grows.
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
            workload: what the backend is made for.

        Raises:
            CheckpointError: it is of another network, or its tensors do not fit.
        """
        network = checkpoint.build()
        if not isinstance(network, SuperResolutionNetwork):
            raise CheckpointError(
                f"The checkpoint is of the network {checkpoint.network}, not super_resolution."
            )
        self.precision = precision or fast_precision(device)
        self.factor = network.factor
        self._backend = backend_for(_Enlargement(network), device, workload)

    def enlarge(self, pixels: Tensor) -> Tensor:
        """Return the image `factor` times as wide and as high.

        Args:
            pixels: RGB, uint8 or uint16 of shape (3, H, W), of any size from 1x1 up.

        Returns:
            RGB, of the same type and shape (3, factor H, factor W), on the CPU. Pixels of 16 bits
            are computed in float32.

        Raises:
            NonFiniteError: the network made NaN or Inf in the fast precision and in float32.
        """
        height, width = pixels.shape[1:]
        padding = (0, max(0, MIN_SIDE - width), 0, max(0, MIN_SIDE - height))
        padded = pixels if not any(padding) else F.pad(pixels, padding, mode="replicate")
        precision = precision_for(pixels, self.precision)
        large = torch.empty((self.factor * height, self.factor * width, 3), dtype=pixels.dtype)
        for top in range(0, height, _TILE):
            for left in range(0, width, _TILE):
                rows, columns = slice(top, top + _TILE), slice(left, left + _TILE)
                tile = self._tile(padded, top, left, precision)
                place = large[self._scaled(rows), self._scaled(columns)]
                place.copy_(tile[: place.shape[0], : place.shape[1]])
        return large.permute(2, 0, 1)

    def _scaled(self, part: slice) -> slice:
        return slice(self.factor * part.start, self.factor * part.stop)

    def _tile(self, photo: Tensor, top: int, left: int, precision: torch.dtype) -> Tensor:
        """Return the enlarged tile that begins at a row and a column, shape (H, W, 3)."""
        above, before = min(top, _REACH), min(left, _REACH)
        around = photo[:, top - above : top + _TILE + _REACH, left - before : left + _TILE + _REACH]
        pixels = widen_uint16(around).permute(1, 2, 0)[None]
        [large] = compute_finite(partial(self._backend, pixels, []), precision)
        inside = large[self.factor * above :, self.factor * before :]
        return inside[: self.factor * _TILE, : self.factor * _TILE]


class _Enlargement(Computation):
    """A super-resolution network on whole-number pixels."""

    def __init__(self, network: SuperResolutionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        large = self.network(to_unit_range(pixels.permute(0, 3, 1, 2)))
        return from_unit_range(large, pixels.dtype).permute(0, 2, 3, 1), large.isfinite().all()


def reduced(images: Tensor, factor: int) -> Tensor:
    """Return images at a fraction of their size, as the literature makes its small images.

    Bicubic, smoothed against aliasing, in 8 bits.

    Args:
        images: RGB in [0, 1], shape (B, 3, H, W), each side at least `factor`.
        factor: by which each side is divided, and rounded down.
    """
    size = [side // factor for side in images.shape[2:]]
    small = F.interpolate(images, size, mode="bicubic", antialias=True)
    return (small * 255).round().clamp(0, 255) / 255
