"""Choice of the device and the precision of a computation."""

from typing import Literal

import torch

from stylebeam.transforms.hardware.memory import machine_memory

DeviceName = Literal["auto", "cpu", "cuda"]


class DeviceUnavailableError(Exception):
    """The requested device is not available on this machine."""


def choose_device(name: DeviceName) -> torch.device:
    """Return the device of that name; `auto` is the GPU if there is one, otherwise the CPU.

    Raises:
        DeviceUnavailableError: a GPU was requested and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceUnavailableError(
            "device: cuda was requested, but PyTorch finds no CUDA GPU on this machine. Use"
            " device: cpu or auto, or install a driver and a CUDA build of torch."
        )
    return torch.device(name)


def device_memory(device: torch.device) -> int:
    """Return the memory of a device in bytes; for the CPU, of this machine or container."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return machine_memory()


def describe_device(device: torch.device) -> str:
    """Return the name of a GPU, or "the CPU", for people."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"


def fast_precision(device: torch.device) -> torch.dtype:
    """Return the fastest precision of convolutions that is accurate enough for stylized images."""
    if device.type == "cuda":
        return torch.float16
    if torch.cpu.get_capabilities().get("avx512_bf16"):
        return torch.bfloat16
    return torch.float32


def fast_gradient_precision(device: torch.device) -> torch.dtype:
    """Return the fastest precision of convolutions whose gradients are needed.

    This is never float16, which would need gradient scaling.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return fast_precision(device)
