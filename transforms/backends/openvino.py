"""OpenVINO as a backend. Importing this module needs it to be installed."""

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

_MODELS_KEPT = 16
# Kernels are made for each size of image: so many, of some twenty for each, are kept for the next.
_KERNELS_KEPT = 256
# Of the largest image whose memory a model may keep while another is used.
_PIXELS_KEPT = 2**21


class OpenVinoBackend:
    """OpenVINO's CPU device: the whole network at once, for images of any size.

    A model is made for each precision, type of pixels and settings: settings that are constants are
    merged into other operations, which in one network saves a quarter of the time. That takes half
    a second each.
    """

    def __init__(self, computation: Computation, at_once: int = 1) -> None:
        """Take a computation, of which models are made later.

        Args:
            computation: what to compute.
            at_once: how many threads will call; the cores that torch would use are shared among
                them. With a core each, results do not depend on the number of cores, and cores do
                not wait for each other.
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
                settled = _Settled(self._computation, settings)
                self._models[key] = _Model(settled, pixels, precision, self._at_once)
            model = self._models[key]
            model.users += 1
            self._make_room_for(key)
        try:
            return model.infer(pixels)
        finally:
            with self._lock:
                model.users -= 1

    def _make_room_for(self, key: object) -> None:
        """Let go of what models keep that are not used now."""
        self._models.move_to_end(key)
        while len(self._models) > _MODELS_KEPT:
            self._models.popitem(last=False)
        for model in self._models.values():
            if not model.users:
                model.release_large_memory()


class _Settled(nn.Module):
    """A computation with settings that do not change."""

    def __init__(self, computation: Computation, settings: Sequence[Tensor]) -> None:
        super().__init__()
        self.computation = computation
        self.settings = tuple(settings)

    def forward(self, pixels: Tensor) -> Tensor:
        made, _ = self.computation(pixels, *self.settings)
        return made


class _Model:
    """A computation that OpenVINO has compiled for a precision and images of any size.

    Attributes:
        users: how many calls are under way.
    """

    def __init__(
        self, settled: _Settled, pixels: Tensor, precision: torch.dtype, at_once: int
    ) -> None:
        example = torch.zeros((1, *EXAMPLE_SIZE, pixels.shape[3]), dtype=pixels.dtype)
        example[:, ::2, ::3] = 1
        # Networks normalise or clamp what they are given: if an example's values are finite, which
        # costs nothing to see, so are those of any image.
        with torch.inference_mode():
            self._finite = bool(settled.computation(example, *settled.settings)[1])
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == torch.bfloat16 else "f32",
            "NUM_STREAMS": at_once,
            "INFERENCE_NUM_THREADS": max(at_once, torch.get_num_threads()),
            "CPU_RUNTIME_CACHE_CAPACITY": _KERNELS_KEPT,
            # Several processes would all be pinned to the same first cores.
            "ENABLE_CPU_PINNING": False,
        }
        compiled = openvino.Core().compile_model(_converted(settled, example), "CPU", options)
        self.users = 0
        self._compiled = compiled
        self._idle: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
        self._largest = 0

    def infer(self, pixels: Tensor) -> tuple[Tensor, bool]:
        """Return what the computation makes of pixels, and whether its values are finite."""
        self._largest = max(self._largest, pixels.numel() // 3)
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        [made] = request.infer([pixels.contiguous().numpy()], share_inputs=True).values()
        self._idle.put(request)
        return torch.from_numpy(made), self._finite

    def release_large_memory(self) -> None:
        """Give back the memory for intermediate results, if that is much."""
        if self._largest > _PIXELS_KEPT:
            self._compiled.release_memory()
            return_free_memory()
            self._largest = 0


def _converted(settled: _Settled, example: Tensor) -> Any:
    """Return OpenVINO's model of a computation on images of any height and width.

    By the frontend itself, as `openvino.convert_model` would report each conversion to its makers.
    """
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore", TracerWarning)
        # torch would rather have its own compiler used.
        warnings.simplefilter("ignore", FutureWarning)
        traced = torch.jit.trace(settled, (example,), check_trace=False)
    frontend = FrontEndManager().load_by_framework("pytorch")
    # The frontend does not keep the decoder alive.
    decoder = TorchScriptPythonDecoder(traced, example_input=(example,))
    model = frontend.convert(frontend.load(decoder))
    model.reshape(openvino.PartialShape([1, -1, -1, example.shape[3]]))
    return model
