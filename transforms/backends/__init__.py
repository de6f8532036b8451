"""What computes a network: OpenVINO on a CPU, where it is installed, else PyTorch."""

import importlib.metadata
import importlib.util

import torch

from transforms.backends.computation import Backend, Computation
from transforms.backends.eager import TorchBackend

_HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
if _HAS_OPENVINO:
    from transforms.backends.openvino import OpenVinoBackend


def backend_for(computation: Computation, device: torch.device) -> Backend:
    """Return what computes fastest on a device."""
    if _HAS_OPENVINO and device.type == "cpu":
        return OpenVinoBackend(computation)
    return TorchBackend(computation, device)


def describe_backend(device: torch.device) -> str:
    """Name what `backend_for` returns, for people."""
    name = "OpenVINO" if _HAS_OPENVINO and device.type == "cpu" else "torch"
    return f"{name} {importlib.metadata.version(name)}"
