"""What computes a network: OpenVINO on a CPU, where it is installed, else PyTorch."""

import importlib.metadata
import importlib.util

import torch

from stylebeam.transforms.backends.computation import ONE_IMAGE, Backend, Computation, Workload
from stylebeam.transforms.backends.pytorch import CompiledTorchBackend, TorchBackend
from stylebeam.transforms.hardware.devices import fast_precision

# One is computed, the other moved or rounded to pixels.
_IMAGES_ON_A_GPU = 2
# Compiling takes a minute or so, and saves 0.2 to 1.2 s for an image of a megapixel on two cores.
_IMAGES_WORTH_COMPILING = 200

_HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
if _HAS_OPENVINO:
    from stylebeam.transforms.backends.openvino import OpenVinoBackend


def is_computed_by_openvino(device: torch.device) -> bool:
    """Say whether `backend_for` returns OpenVINO."""
    return _HAS_OPENVINO and device.type == "cpu"


def is_worth_compiling(device: torch.device, images: int) -> bool:
    """Say whether so many images are computed sooner if PyTorch is compiled first."""
    return not is_computed_by_openvino(device) and images >= _IMAGES_WORTH_COMPILING


def backend_for(
    computation: Computation, device: torch.device, workload: Workload = ONE_IMAGE
) -> Backend:
    """Return what does a workload soonest on a device."""
    if is_computed_by_openvino(device):
        return OpenVinoBackend(computation, workload.at_once)
    if is_worth_compiling(device, workload.images):
        return CompiledTorchBackend(computation, device, fast_precision(device))
    return TorchBackend(computation, device)


def images_at_once(device: torch.device) -> int:
    """Return how many images are best computed at once, by as many threads.

    OpenVINO has a core for each; PyTorch uses all cores for one.
    """
    if device.type != "cpu":
        return _IMAGES_ON_A_GPU
    return torch.get_num_threads() if is_computed_by_openvino(device) else 1


def describe_backend(device: torch.device) -> str:
    """Name what computes on a device, for people."""
    name = "OpenVINO" if is_computed_by_openvino(device) else "torch"
    return f"{name} {importlib.metadata.version(name)}"
