"""Stylization by one pass of a trained network (Johnson et al. 2016)."""

import math
from collections.abc import Mapping
from functools import partial

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.backends import backend_for
from stylebeam.transforms.backends.computation import ONE_IMAGE, Computation, Workload
from stylebeam.transforms.checkpoints import Checkpoint, CheckpointError
from stylebeam.transforms.engine import NO_CONTROL, Control, Engine
from stylebeam.transforms.hardware.devices import fast_precision
from stylebeam.transforms.hardware.precision import compute_finite
from stylebeam.transforms.images.color import KeptColors, keep_colors
from stylebeam.transforms.images.pixels import (
    from_unit_range,
    mixed,
    precision_for,
    to_unit_range,
    widen_uint16,
)
from stylebeam.transforms.images.resizing import enlarge_like, reduced_to
from stylebeam.transforms.inference.tiling import (
    THUMBNAIL_PIXELS,
    Statistics,
    TiledImage,
    kept_bytes_per_pixel,
)
from stylebeam.transforms.networks import MIN_SIDE
from stylebeam.transforms.networks.style_network import (
    STRIDE,
    StyleNetwork,
    normalize_by_image,
    unpacked,
)


class FeedForwardStylizer:
    """A style network on a device, which stylizes images one at a time in any of its styles.

    One at a time, so that a result cannot depend on the images beside it. Calls from several
    threads are safe: nothing is kept between them.

    Attributes:
        precision: of the convolutions.
        cores_wanted: how many CPU cores work on one image; None for all of them.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        precision: torch.dtype | None = None,
        memory: int | None = None,
        workload: Workload = ONE_IMAGE,
    ) -> None:
        """Build the network and move it to the device.

        Args:
            checkpoint: the network and its weights.
            device: where to compute.
            precision: of the convolutions; by default the fastest that keeps the quality.
            memory: bytes that an image may take; one that needs more is stylized in tiles. None
                for no limit.
            workload: how the backend will be used.

        Raises:
            CheckpointError: the checkpoint's tensors do not fit its network, or the network does
                not stylize.
        """
        network = checkpoint.build()
        if not isinstance(network, StyleNetwork):
            raise CheckpointError(
                f"The checkpoint is of the network {checkpoint.network}, which has no styles."
            )
        self.precision = precision or fast_precision(device)
        self.cores_wanted = 1 if workload.at_once > 1 else None
        self._memory = math.inf if memory is None else memory
        self._at_once = workload.at_once
        self._device = device
        self._network = network.to(device).to(memory_format=torch.channels_last)
        self._backend = backend_for(_Stylization(network), device, workload)
        self._vectors = {name: style.vector.float() for name, style in checkpoint.styles.items()}

    def stylize(
        self,
        pixels: Tensor,
        strength: float = 1.0,
        styles: Mapping[str, float] | Tensor | None = None,
        processing_size: int | None = None,
        statistics: Statistics = "exact",
        control: Control = NO_CONTROL,
        kept_colors: KeptColors | None = None,
    ) -> Tensor:
        """Return the stylized image.

        Args:
            pixels: RGB, uint8 or uint16 of shape (3, H, W), of any size from 1x1 up.
            strength: from 0, the photo, to 1, the stylized image; between, the two are mixed.
            styles: the weight of each style in the result, by name, with a sum above 0; or a
                style's vector, shape (style_size,); None for the only style of the checkpoint.
            processing_size: the short side, in pixels, at which a larger image is stylized; the
                result is enlarged to the image's size, with its fine detail. None for its own.
            statistics: which features the normalizations use: those of the whole image, or of a
                thumbnail, which needs the least memory.
            control: is told of the progress, and may cancel the work.
            kept_colors: which colors of the photo the result has; None for none.

        Returns:
            RGB, of the same type and shape, on the CPU. Pixels of 16 bits are computed in float32.

        Raises:
            NonFiniteError: the network made NaN or Inf in the fast precision and in float32.
            MemoryError: the image is too large even for tiles with `statistics: exact`.
            KeyError: there is no such style.
            Canceled: the caller has canceled the work.
        """
        control.step(0.0)
        vectors = self._blend(styles)
        reduced = pixels
        if processing_size is not None and processing_size < min(pixels.shape[1:]):
            reduced = reduced_to(pixels, processing_size)
        stylized = self._stylized(reduced, vectors, statistics, control)
        if kept_colors is not None:
            stylized = keep_colors(stylized, reduced, kept_colors)
        if reduced is pixels:
            made = mixed(pixels, stylized, strength)
        else:
            made = enlarge_like(stylized, reduced, pixels, strength)
        control.step(1.0)
        return made

    def memory_needed(self, width: int, height: int) -> int:
        """Return about how many bytes an image takes, at most the memory that it may take."""
        whole = width * height * self._network.peak_values * self.precision.itemsize
        return int(min(whole, self._memory))

    def _stylized(
        self, pixels: Tensor, vectors: Tensor, statistics: Statistics, control: Control
    ) -> Tensor:
        """Return an image stylized at its own size."""
        height, width = pixels.shape[1:]
        padding = (0, max(0, MIN_SIDE - width), 0, max(0, MIN_SIDE - height))
        padded = F.pad(pixels, padding, mode="replicate") if any(padding) else pixels
        interleaved = padded.permute(1, 2, 0)
        precision = precision_for(pixels, self.precision)
        if self._needs_tiles(interleaved, precision, statistics):
            on_device = vectors.to(self._device)
            tiled = TiledImage(self._network, widen_uint16(interleaved), on_device, control)
            made = compute_finite(partial(tiled.stylize, statistics), precision)
        else:
            made = self._whole(interleaved, vectors, precision)
        return made[:height, :width].permute(2, 0, 1).to(pixels.dtype)

    def _whole(self, pixels: Tensor, vectors: Tensor, precision: torch.dtype) -> Tensor:
        """Return an image, shape (H, W, 3), stylized as a whole, shape (H', W', 3)."""
        frame = self._network.frame
        packed = self._network.packed(widen_uint16(_framed(pixels, frame))[None])
        made = compute_finite(partial(self._backend, packed, [vectors]), precision)
        return unpacked(made)[0, frame:, frame:]

    def _needs_tiles(self, pixels: Tensor, precision: torch.dtype, statistics: Statistics) -> bool:
        """Return whether an image, shape (H, W, 3), must be stylized in tiles.

        Raises:
            MemoryError: the image is too large even for tiles.
        """
        count = pixels.shape[0] * pixels.shape[1]
        if statistics == "thumbnail":
            return count > THUMBNAIL_PIXELS
        if count * self._network.peak_values * precision.itemsize <= self._memory:
            return False
        kept = count * kept_bytes_per_pixel(self._network, precision)
        if kept > self._memory:
            raise MemoryError(
                f"an image of {count / 1e6:.3g} megapixels takes {kept / 1e9:.3g} GB, more than"
                f" {self._allowed_memory()}. fast.statistics: thumbnail and fast.processing_size"
                " take less."
            )
        return True

    def _allowed_memory(self) -> str:
        """Return the memory that an image may take, in words."""
        total = f"run.memory ({self._memory * self._at_once / 1e9:.3g} GB)"
        if self._at_once == 1:
            return total
        share = f"{self._memory / 1e9:.3g} GB"
        return f"the {share} of {total} that each of {self._at_once} images at once may take"

    def _blend(self, styles: Mapping[str, float] | Tensor | None) -> Tensor:
        """Return the weighted mean of styles' vectors, shape (1, style_size)."""
        if isinstance(styles, Tensor):
            return styles.float().unsqueeze(0)
        if styles is None:
            [vector] = self._vectors.values()
            return vector.unsqueeze(0)
        vectors = torch.stack([self._vectors[name] for name in styles])
        weights = vectors.new_tensor(list(styles.values()))
        return (weights / weights.sum()).unsqueeze(0) @ vectors


class StyleEngine(Engine):
    """A style network with the style, or the blend of styles, that it applies."""

    def __init__(
        self,
        stylizer: FeedForwardStylizer,
        styles: Mapping[str, float] | Tensor | None = None,
        strength: float = 1.0,
        processing_size: int | None = None,
        statistics: Statistics = "exact",
        kept_colors: KeptColors | None = None,
    ) -> None:
        """Choose a style and how it is applied; the arguments are those of `stylize`."""
        self._stylizer = stylizer
        self._styles = styles
        self._strength = strength
        self._processing_size = processing_size
        self._statistics = statistics
        self._kept_colors = kept_colors
        self.cores_wanted = stylizer.cores_wanted

    def transform(self, pixels: Tensor, control: Control = NO_CONTROL) -> Tensor:
        return self._stylizer.stylize(
            pixels,
            self._strength,
            self._styles,
            self._processing_size,
            self._statistics,
            control,
            self._kept_colors,
        )

    def memory_needed(self, width: int, height: int) -> int:
        size = self._processing_size
        scale = 1.0 if size is None else min(1.0, size / min(width, height))
        return self._stylizer.memory_needed(round(scale * width), round(scale * height))


class _Stylization(Computation):
    """A style network on packed pixels; its setting is a style's vector."""

    def __init__(self, network: StyleNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, packed: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        photo = to_unit_range(packed.permute(0, 3, 1, 2))
        made = self.network.transform(photo, vectors, normalize_by_image)
        return from_unit_range(made, packed.dtype).permute(0, 2, 3, 1), made.isfinite().all()


def _framed(pixels: Tensor, frame: int) -> Tensor:
    """Return an image of integers, shape (H, W, 3), as `style_network.framed` does."""
    height, width = (side + 2 * frame for side in pixels.shape[:2])
    reflected = cv2.copyMakeBorder(
        pixels.numpy(), frame, frame, frame, frame, cv2.BORDER_REFLECT_101
    )
    whole = cv2.copyMakeBorder(
        reflected, 0, -height % STRIDE, 0, -width % STRIDE, cv2.BORDER_REPLICATE
    )
    return torch.from_numpy(whole)
