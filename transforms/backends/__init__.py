"""Backends, which compute a network: OpenVINO on a CPU if it is installed, otherwise PyTorch."""

import importlib.metadata
import importlib.util
import sys
from types import ModuleType
from typing import cast

import torch

from stylebeam.transforms.backends.computation import ONE_IMAGE, Backend, Computation, Workload
from stylebeam.transforms.backends.pytorch import CompiledTorchBackend, TorchBackend
from stylebeam.transforms.hardware.devices import fast_precision

# One image is computed while the other is transferred or converted.
_IMAGES_ON_A_GPU = 2

IMAGES_WORTH_COMPILING = 200
"""From this number of images on, PyTorch compiles networks.

Compilation takes about a minute, and saves 0.2 to 1.2 s per megapixel on two cores.
"""

HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
"""Whether OpenVINO is installed."""

if HAS_OPENVINO:
    # OpenVINO's converter, which it imports itself, would look up and contact Google Analytics.
    # Without this module, it uses a stub in its place.
    sys.modules.setdefault("openvino_telemetry", cast(ModuleType, None))
    from stylebeam.transforms.backends.openvino import OpenVinoBackend


def is_computed_by_openvino(device: torch.device) -> bool:
    """Return whether `backend_for` returns OpenVINO for a device."""
    return HAS_OPENVINO and device.type == "cpu"


def is_worth_compiling(device: torch.device, images: int) -> bool:
    """Return whether this number of images is computed sooner if PyTorch compiles first."""
    return not is_computed_by_openvino(device) and images >= IMAGES_WORTH_COMPILING


def backend_for(
    computation: Computation, device: torch.device, workload: Workload = ONE_IMAGE
) -> Backend:
    """Return the backend that computes a workload fastest on a device."""
    if is_computed_by_openvino(device):
        return OpenVinoBackend(computation, workload.at_once)
    if is_worth_compiling(device, workload.images):
        return CompiledTorchBackend(computation, device, fast_precision(device))
    return TorchBackend(computation, device)


def images_at_once(device: torch.device) -> int:
    """Return the number of images to compute at once, each in its own thread.

    OpenVINO uses one core per image, and PyTorch uses all cores for one image.
    """
    if device.type != "cpu":
        return _IMAGES_ON_A_GPU
    return torch.get_num_threads() if is_computed_by_openvino(device) else 1


def describe_backend(device: torch.device) -> str:
    """Return the name and version of the library that computes on a device, for messages."""
    name = "OpenVINO" if is_computed_by_openvino(device) else "torch"
    return f"{name} {importlib.metadata.version(name)}"
