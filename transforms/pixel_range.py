"""Whole-number pixels of 8 or 16 bits to real numbers from 0 to 1, and back."""

import torch
from torch import Tensor


def to_unit_range(pixels: Tensor) -> Tensor:
    """Return pixels as real numbers.

    Args:
        pixels: uint8 or uint16, of any shape.

    Returns:
        float32 in [0, 1], of the same shape, on the same device.
    """
    # Torch has few operations for uint16; to int32 it converts everywhere.
    values = pixels.to(torch.int32) if pixels.dtype == torch.uint16 else pixels
    return values.float() / _largest(pixels.dtype)


def from_unit_range(image: Tensor, dtype: torch.dtype) -> Tensor:
    """Return real numbers as pixels, the nearest; beyond [0, 1] they are clamped.

    Args:
        image: real numbers of any shape.
        dtype: uint8 or uint16.

    Returns:
        of that type and of the same shape, on the same device.
    """
    values = (image.clamp(0, 1) * _largest(dtype)).round()
    return (values.to(torch.int32) if dtype == torch.uint16 else values).to(dtype)


def of_depth(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """Return pixels with another number of bits, or as they are if they have it.

    Args:
        pixels: uint8 or uint16, of any shape.
        dtype: uint8 or uint16.
    """
    return pixels if pixels.dtype == dtype else from_unit_range(to_unit_range(pixels), dtype)


def computing_precision(pixels: Tensor, precision: torch.dtype) -> torch.dtype:
    """Return what to convolve pixels in: 16 bits are more than a fast precision keeps.

    Args:
        pixels: uint8 or uint16.
        precision: what is meant for 8 bits.
    """
    return torch.float32 if pixels.dtype == torch.uint16 else precision


def _largest(dtype: torch.dtype) -> int:
    return {torch.uint8: 255, torch.uint16: 65_535}[dtype]
