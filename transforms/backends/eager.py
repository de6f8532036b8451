"""PyTorch as a backend."""

import contextlib
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from transforms.backends.computation import Computation
from transforms.precision import convolutions_in


class TorchBackend:
    """PyTorch, one operation after the other, in a lower precision by autocast.

    On a GPU each calling thread has a stream of its own: one image is moved while another is
    computed.
    """

    def __init__(self, computation: Computation, device: torch.device) -> None:
        """Move a computation to a device."""
        self._device = device
        self._computation = computation.to(device).to(memory_format=torch.channels_last)
        self._of_thread = threading.local()

    @torch.inference_mode()
    def __call__(
        self, pixels: Tensor, settings: Sequence[Tensor], precision: torch.dtype
    ) -> tuple[Tensor, bool]:
        with self._stream(), convolutions_in(precision, self._device):
            inputs = [self._moved(tensor) for tensor in (pixels, *settings)]
            made, finite = self._computation(*inputs)
            return made.cpu(), bool(finite)

    def _stream(self) -> AbstractContextManager[object]:
        if self._device.type != "cuda":
            return contextlib.nullcontext()
        if not hasattr(self._of_thread, "stream"):
            self._of_thread.stream = torch.cuda.Stream(self._device)
            # The weights may still be on their way.
            self._of_thread.stream.wait_stream(torch.cuda.default_stream(self._device))
        return torch.cuda.stream(self._of_thread.stream)

    def _moved(self, tensor: Tensor) -> Tensor:
        # From memory that stays in its place a GPU fetches by itself.
        pinned = tensor.pin_memory() if self._device.type == "cuda" else tensor
        return pinned.to(self._device, non_blocking=True)
