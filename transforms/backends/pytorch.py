"""PyTorch as a backend."""

import contextlib
import logging
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import cast

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from stylebeam.transforms.backends.computation import EXAMPLE_SIZE, Computation
from stylebeam.transforms.hardware.precision import convolutions_in

_log = logging.getLogger(__name__)


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

    # Tensors made in inference mode are a type of their own, which would be compiled for again.
    @torch.no_grad()
    def __call__(
        self, pixels: Tensor, settings: Sequence[Tensor], precision: torch.dtype
    ) -> tuple[Tensor, bool]:
        with self._stream(), convolutions_in(precision, self._device):
            inputs = [self._moved(tensor) for tensor in (pixels, *settings)]
            made, finite = self._compute(inputs, precision)
            return made.cpu(), bool(finite)

    def _compute(self, inputs: Sequence[Tensor], precision: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return what the computation makes of inputs on the device, there."""
        made, finite = self._computation(*inputs)
        return made, finite

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


class CompiledTorchBackend(TorchBackend):
    """PyTorch, compiled for images of any size; the first image waits for that, a minute or so.

    What is rare is computed by one operation after the other instead: pixels of 16 bits, and images
    that are done again in float32. So is everything where compilation fails, as without a compiler
    for C++.
    """

    def __init__(
        self, computation: Computation, device: torch.device, precision: torch.dtype
    ) -> None:
        """Move a computation to a device, to be compiled later.

        Args:
            computation: what to compute.
            device: where.
            precision: what to compile for.
        """
        super().__init__(computation, device)
        self._precision = precision
        self._compiled: Computation | None = None
        self._compiling = threading.Lock()

    def _compute(self, inputs: Sequence[Tensor], precision: torch.dtype) -> tuple[Tensor, Tensor]:
        if inputs[0].dtype != torch.uint8 or precision != self._precision:
            return super()._compute(inputs, precision)
        with self._compiling:
            if self._compiled is None:
                self._compiled = self._compile(inputs)
        made, finite = self._compiled(*inputs)
        return made, finite

    def _compile(self, inputs: Sequence[Tensor]) -> Computation:
        """Return the computation, compiled for images of any size and inputs that are otherwise so.

        Where that fails, the computation itself.
        """
        pixels, *settings = inputs
        example = pixels.new_zeros((1, *EXAMPLE_SIZE, pixels.shape[3]))
        for side in (1, 2):
            torch._dynamo.mark_dynamic(example, side)
        compiled = cast(Computation, torch.compile(self._computation))
        try:
            compiled(example, *settings)
        except TorchDynamoException as error:
            reason = str(error).strip().partition("\n")[0]
            _log.warning("torch.compile failed, and images are computed without: %s", reason)
            return self._computation
        return compiled
