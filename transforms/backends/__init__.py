"""What computes a network: OpenVINO on a CPU, where it is installed, else PyTorch."""

import importlib.metadata
import importlib.util

import torch

from transforms.backends.computation import Backend, Computation
from transforms.backends.eager import TorchBackend

# One is computed, the other moved or rounded to pixels.
_IMAGES_ON_A_GPU = 2

_HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
if _HAS_OPENVINO:
    from transforms.backends.openvino import OpenVinoBackend


def is_computed_by_openvino(device: torch.device) -> bool:
    """Say whether `backend_for` returns OpenVINO."""
    return _HAS_OPENVINO and device.type == "cpu"


def backend_for(computation: Computation, device: torch.device, at_once: int = 1) -> Backend:
    """Return what computes fastest on a device.

    Args:
        computation: what to compute.
        device: where.
        at_once: how many threads will call, at most as many as `images_at_once` says.
    """
    if is_computed_by_openvino(device):
        return OpenVinoBackend(computation, at_once)
    return TorchBackend(computation, device)


def images_at_once(device: torch.device) -> int:
    """Return how many images are best computed at once, by as many threads.

    OpenVINO has a core for each; PyTorch uses all cores for one.
    """
    if device.type != "cpu":
        return _IMAGES_ON_A_GPU
    return torch.get_num_threads() if is_computed_by_openvino(device) else 1


def describe_backend(device: torch.device) -> str:
    """Name what `backend_for` returns, for people."""
    name = "OpenVINO" if is_computed_by_openvino(device) else "torch"
    return f"{name} {importlib.metadata.version(name)}"
