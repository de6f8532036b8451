"""The backend that uses OpenVINO, which must be installed to import this module."""

import queue
import threading
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import openvino
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from stylebeam.transforms.backends.computation import EXAMPLE_SIZE, Computation
from stylebeam.transforms.hardware.memory import return_free_memory

# A model takes about 30 MB, up to 60 MB for kernels if images have many sizes and, for an image of
# a megapixel, another 100 MB for intermediate results, which only the models used last keep.
# Batches come one after the other, so few models are in use at a time.
_MODELS_KEPT = 12
_MODELS_WITH_MEMORY = 4
# OpenVINO compiles about twenty kernels for each image size; this many are cached.
_KERNELS_KEPT = 256
# The size of the largest image for which a model keeps its memory while it is not in use.
_PIXELS_KEPT = 2**21


class OpenVinoBackend:
    """The CPU device of OpenVINO, for images of any size.

    A model is compiled for each combination of precision, pixel type and settings, in half a second
    each. As constants, settings are folded into other operations, which saves a quarter of the time
    of one network.
    """

    def __init__(self, computation: Computation, at_once: int = 1) -> None:
        """Make the backend; models are compiled when they are first used.

        Args:
            computation: the computation.
            at_once: number of threads that call the backend, which share the cores that torch would
                use. With one core per image, results do not depend on the number of cores, and
                cores do not wait for each other.
        """
        self._computation = computation.eval()
        self._at_once = at_once
        self._models: OrderedDict[object, _Model] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(
        self, pixels: Tensor, settings: Sequence[Tensor], precision: torch.dtype
    ) -> tuple[Tensor, bool]:
        values = tuple(tuple(setting.flatten().tolist()) for setting in settings)
        key = precision, pixels.dtype, values
        with self._lock:
            if key not in self._models:
                constant = _WithConstantSettings(self._computation, settings)
                self._models[key] = _Model(constant, pixels, precision, self._at_once)
            model = self._models[key]
            model.users += 1
            self._make_room_for(key)
        try:
            return model.infer(pixels)
        finally:
            with self._lock:
                model.users -= 1

    def _make_room_for(self, key: object) -> None:
        """Drop the models used longest ago, and the memory of models that are not in use."""
        self._models.move_to_end(key)
        while len(self._models) > _MODELS_KEPT:
            self._models.popitem(last=False)
        models = list(self._models.values())
        for number, model in enumerate(models):
            used_last = number >= len(models) - _MODELS_WITH_MEMORY
            if not model.users:
                model.release_memory(_PIXELS_KEPT if used_last else 0)


class _WithConstantSettings(nn.Module):
    """A computation with constant settings."""

    def __init__(self, computation: Computation, settings: Sequence[Tensor]) -> None:
        super().__init__()
        self.computation = computation
        self.settings = tuple(settings)

    def forward(self, pixels: Tensor) -> Tensor:
        output, _ = self.computation(pixels, *self.settings)
        return output


class _Model:
    """A computation that OpenVINO has compiled for a precision and images of any size.

    Attributes:
        users: number of calls in progress.
    """

    def __init__(
        self,
        computation: _WithConstantSettings,
        pixels: Tensor,
        precision: torch.dtype,
        at_once: int,
    ) -> None:
        example = torch.zeros((1, *EXAMPLE_SIZE, pixels.shape[3]), dtype=pixels.dtype)
        example[:, ::2, ::3] = 1
        # Networks normalize or clamp their input, so the values of an example, which are cheap to
        # check, are finite if and only if those of any image are.
        with torch.inference_mode():
            self._finite = bool(computation.computation(example, *computation.settings)[1])
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == torch.bfloat16 else "f32",
            "NUM_STREAMS": at_once,
            "INFERENCE_NUM_THREADS": max(at_once, torch.get_num_threads()),
            "CPU_RUNTIME_CACHE_CAPACITY": _KERNELS_KEPT,
            # Several processes would be pinned to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        compiled = openvino.Core().compile_model(_convert(computation, example), "CPU", options)
        self.users = 0
        self._compiled = compiled
        self._idle: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
        self._largest = 0

    def infer(self, pixels: Tensor) -> tuple[Tensor, bool]:
        """Return the output of the computation, and whether its values are finite."""
        self._largest = max(self._largest, pixels.numel() // 3)
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        [output] = request.infer([pixels.contiguous().numpy()], share_inputs=True).values()
        self._idle.put(request)
        return torch.from_numpy(output), self._finite

    def release_memory(self, pixels: int) -> None:
        """Free the memory of intermediate results if an image had more than this many pixels."""
        if self._largest > pixels:
            self._compiled.release_memory()
            return_free_memory()
            self._largest = 0


def _convert(computation: _WithConstantSettings, example: Tensor) -> Any:
    """Return the OpenVINO model of a computation on images of any height and width.

    The frontend is called directly because `openvino.convert_model` sends telemetry.
    """
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore", TracerWarning)
        # torch recommends torch.export.
        warnings.simplefilter("ignore", FutureWarning)
        traced = torch.jit.trace(computation, (example,), check_trace=False)
    frontend = FrontEndManager().load_by_framework("pytorch")
    # Keeps the decoder alive, which the frontend does not.
    decoder = TorchScriptPythonDecoder(traced, example_input=(example,))
    model = frontend.convert(frontend.load(decoder))
    model.reshape(openvino.PartialShape([1, -1, -1, example.shape[3]]))
    return model
