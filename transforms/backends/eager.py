"""PyTorch as a backend."""

from collections.abc import Sequence

import torch
from torch import Tensor

from transforms.backends.computation import Computation
from transforms.precision import convolutions_in


class TorchBackend:
    """PyTorch, one operation after the other, in a lower precision by autocast."""

    def __init__(self, computation: Computation, device: torch.device) -> None:
        """Move a computation to a device."""
        self._device = device
        self._computation = computation.to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(
        self, pixels: Tensor, settings: Sequence[Tensor], precision: torch.dtype
    ) -> tuple[Tensor, bool]:
        inputs = (tensor.to(self._device) for tensor in (pixels, *settings))
        with convolutions_in(precision, self._device):
            made, finite = self._computation(*inputs)
        return made.cpu(), bool(finite)
