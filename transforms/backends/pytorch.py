"""The backends that use PyTorch."""

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
    """PyTorch in eager mode, in lower precisions by autocast.

    On a GPU, each calling thread has its own stream, so that one image is transferred while another
    is computed.
    """

    def __init__(self, computation: Computation, device: torch.device) -> None:
        """Move a computation to a device."""
        self._device = device
        self._computation = computation.to(device).to(memory_format=torch.channels_last)
        self._of_thread = threading.local()

    # Not inference_mode: its tensors would cause another compilation.
    @torch.no_grad()
    def __call__(
        self, pixels: Tensor, settings: Sequence[Tensor], precision: torch.dtype
    ) -> tuple[Tensor, bool]:
        with self._stream(), convolutions_in(precision, self._device):
            inputs = [self._to_device(tensor) for tensor in (pixels, *settings)]
            output, finite = self._compute(inputs, precision)
            return output.cpu(), bool(finite)

    def _compute(self, inputs: Sequence[Tensor], precision: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the output of the computation, on the device like the inputs."""
        output, finite = self._computation(*inputs)
        return output, finite

    def _stream(self) -> AbstractContextManager[object]:
        if self._device.type != "cuda":
            return contextlib.nullcontext()
        if not hasattr(self._of_thread, "stream"):
            self._of_thread.stream = torch.cuda.Stream(self._device)
            # The weights may still be in transfer on the default stream.
            self._of_thread.stream.wait_stream(torch.cuda.default_stream(self._device))
        return torch.cuda.stream(self._of_thread.stream)

    def _to_device(self, tensor: Tensor) -> Tensor:
        # Transfers from pinned memory are asynchronous.
        pinned = tensor.pin_memory() if self._device.type == "cuda" else tensor
        return pinned.to(self._device, non_blocking=True)


class CompiledTorchBackend(TorchBackend):
    """PyTorch, compiled for images of any size during the first call, which takes about a minute.

    Rare cases are computed in eager mode: 16-bit pixels, and images that are repeated in float32.
    So is everything if compilation fails, for example without a C++ compiler.
    """

    def __init__(
        self, computation: Computation, device: torch.device, precision: torch.dtype
    ) -> None:
        """Move a computation to a device; it is compiled by the first call.

        Args:
            computation: the computation.
            device: where to compute.
            precision: to compile for.
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
        output, finite = self._compiled(*inputs)
        return output, finite

    def _compile(self, inputs: Sequence[Tensor]) -> Computation:
        """Return the computation compiled for images of any size and these types of inputs.

        If that fails, the computation itself is returned.
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
            _log.warning("torch.compile failed, so images are computed without it: %s", reason)
            return self._computation
        return compiled
