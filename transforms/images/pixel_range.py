"""Whole-number pixels of 8 or 16 bits to real numbers from 0 to 1, and back.

Pixels of 16 bits are uint16, of which torch and OpenVINO have few operations; for these they are
int32, from 0 to 65,535.
"""

import torch
from torch import Tensor


def to_unit_range(pixels: Tensor) -> Tensor:
    """Return pixels as real numbers.

    Args:
        pixels: uint8, uint16 or int32, of any shape.

    Returns:
        float32 in [0, 1], of the same shape, on the same device.
    """
    return computable(pixels).float() / largest_value(pixels.dtype)


def from_unit_range(image: Tensor, dtype: torch.dtype) -> Tensor:
    """Return real numbers as pixels, the nearest; beyond [0, 1] they are clamped.

    Args:
        image: real numbers of any shape.
        dtype: uint8, uint16 or int32.

    Returns:
        of that type and of the same shape, on the same device.
    """
    values = (image.clamp(0, 1) * largest_value(dtype)).round()
    return (values.to(torch.int32) if dtype == torch.uint16 else values).to(dtype)


def mixed(pixels: Tensor, others: Tensor, strength: float) -> Tensor:
    """Return a mixture of pixels, from 0, the first, to 1, the others.

    Args:
        pixels: uint8, uint16 or int32, of any shape.
        others: of the same type and shape.
        strength: the part of the others.
    """
    if strength == 1:
        return others
    levels = torch.lerp(computable(pixels).float(), computable(others).float(), strength)
    return levels.round().to(torch.int32).to(pixels.dtype)


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


def computable(pixels: Tensor) -> Tensor:
    """Return pixels in a type that there are operations for: uint8, or int32 for 16 bits."""
    return pixels.to(torch.int32) if pixels.dtype == torch.uint16 else pixels


def largest_value(dtype: torch.dtype) -> int:
    """Return the value of white: of uint8, uint16, or int32 in its place."""
    return 255 if dtype == torch.uint8 else 65_535
