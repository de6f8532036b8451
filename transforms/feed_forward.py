"""Stylisation by one pass of a trained network (Johnson et al. 2016)."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from transforms.checkpoints import Checkpoint
from transforms.devices import fast_precision
from transforms.networks import MIN_SIDE, stylize
from transforms.pixel_range import computing_precision, from_unit_range, to_unit_range
from transforms.precision import compute_finite


class FeedForwardStylizer:
    """A style network on a device, ready to stylise images one at a time.

    One at a time, so that an image's result cannot depend on the images beside it. Calls from
    several threads are safe: nothing is kept between them.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: torch.device, precision: torch.dtype | None = None
    ) -> None:
        """Build the network and move it to the device.

        Args:
            checkpoint: the network and its weights.
            device: where to compute.
            precision: of the convolutions; by default the fastest that keeps the quality.

        Raises:
            CheckpointError: the checkpoint's tensors do not fit its network.
        """
        self.device = device
        self.precision = precision or fast_precision(device)
        self._network = checkpoint.build().to(device).to(memory_format=torch.channels_last)
        self._vectors = {
            name: style.vector.to(device, torch.float32)
            for name, style in checkpoint.styles.items()
        }

    @torch.inference_mode()
    def stylize(
        self, pixels: Tensor, strength: float = 1.0, styles: Mapping[str, float] | None = None
    ) -> Tensor:
        """Return the stylised image.

        Args:
            pixels: RGB, uint8 or uint16 of shape (3, H, W), of any size from 1x1 up.
            strength: from 0, the photo, to 1, the stylised image; between, they are mixed.
            styles: the parts that the checkpoint's styles have in the result, by name, of any sum
                but 0; None if it has but one.

        Returns:
            RGB, of the same type and shape, on the CPU. Pixels of 16 bits are computed in float32.

        Raises:
            NonFiniteError: the network made NaN or Inf in the fast precision and in float32.
            KeyError: there is no such style.
        """
        height, width = pixels.shape[1:]
        photo = to_unit_range(pixels.unsqueeze(0).to(self.device))
        padding = (0, max(0, MIN_SIDE - width), 0, max(0, MIN_SIDE - height))
        padded = F.pad(photo, padding, mode="replicate")
        padded = padded.contiguous(memory_format=torch.channels_last)
        vectors = self._blend(styles)
        stylized = compute_finite(
            lambda: stylize(self._network, padded, vectors),
            self.device,
            computing_precision(pixels, self.precision),
        )
        mixed = torch.lerp(photo, stylized[..., :height, :width].clamp(0, 1), strength)
        return from_unit_range(mixed[0], pixels.dtype).cpu()

    def _blend(self, styles: Mapping[str, float] | None) -> Tensor:
        """Return the weighted mean of styles' vectors, shape (1, style_size)."""
        if styles is None:
            [vector] = self._vectors.values()
            return vector.unsqueeze(0)
        vectors = torch.stack([self._vectors[name] for name in styles])
        weights = vectors.new_tensor(list(styles.values()))
        return (weights / weights.sum()).unsqueeze(0) @ vectors
