"""Stylisation by one pass of a trained network (Johnson et al. 2016)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from transforms.checkpoints import Checkpoint
from transforms.devices import fast_precision
from transforms.networks import MIN_SIDE


class NonFiniteError(Exception):
    """The network made values that are not finite, even in float32."""


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

    @torch.inference_mode()
    def stylize(self, pixels: Tensor, strength: float = 1.0) -> Tensor:
        """Return the stylised image.

        Args:
            pixels: RGB, uint8 of shape (3, H, W), of any size from 1x1 up.
            strength: from 0, the photo, to 1, the stylised image; between, they are mixed.

        Returns:
            RGB, uint8 of the same shape, on the CPU.

        Raises:
            NonFiniteError: the network made NaN or Inf in the fast precision and in float32.
        """
        height, width = pixels.shape[1:]
        photo = pixels.to(self.device).unsqueeze(0).float() / 255
        padding = (0, max(0, MIN_SIDE - width), 0, max(0, MIN_SIDE - height))
        padded = F.pad(photo, padding, mode="replicate")
        stylized = self._forward(padded.contiguous(memory_format=torch.channels_last)).clamp(0, 1)
        mixed = torch.lerp(photo, stylized[..., :height, :width], strength)
        return (mixed[0] * 255).round().to(torch.uint8).cpu()

    def _forward(self, images: Tensor) -> Tensor:
        for precision in dict.fromkeys((self.precision, torch.float32)):
            reduced = precision != torch.float32
            with torch.autocast(self.device.type, precision if reduced else None, enabled=reduced):
                stylized = self._network(images).float()
            if torch.isfinite(stylized).all():
                return stylized
        raise NonFiniteError("The network made values that are not finite (NaN or infinite).")
