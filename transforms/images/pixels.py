"""Convert pixels between integers of 8 or 16 bits and float32 in [0, 1].

PyTorch and OpenVINO have few operations for uint16. For computations, 16-bit pixels are int32 with
values from 0 to 65,535.
"""

import torch
from torch import Tensor


def to_unit_range(pixels: Tensor) -> Tensor:
    """Return integer pixels as float32 in [0, 1].

    Args:
        pixels: uint8, uint16 or int32, any shape.

    Returns:
        float32, same shape and device.
    """
    return widen_uint16(pixels).float() / largest_value(pixels.dtype)


def from_unit_range(image: Tensor, dtype: torch.dtype) -> Tensor:
    """Return float pixels as the nearest integers; values outside [0, 1] are clamped.

    Args:
        image: floating point, any shape.
        dtype: uint8, uint16 or int32.

    Returns:
        Pixels of that dtype, same shape and device.
    """
    values = (image.clamp(0, 1) * largest_value(dtype)).round()
    return (values.to(torch.int32) if dtype == torch.uint16 else values).to(dtype)


def mixed(pixels: Tensor, others: Tensor, strength: float) -> Tensor:
    """Return the linear interpolation between two images.

    Args:
        pixels: uint8, uint16 or int32, any shape.
        others: same dtype and shape.
        strength: from 0 for `pixels` to 1 for `others`.
    """
    if strength == 1:
        return others
    levels = torch.lerp(widen_uint16(pixels).float(), widen_uint16(others).float(), strength)
    return levels.round().to(torch.int32).to(pixels.dtype)


def to_depth(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """Return pixels rescaled to another bit depth.

    Args:
        pixels: uint8 or uint16, any shape.
        dtype: uint8 or uint16.
    """
    return pixels if pixels.dtype == dtype else from_unit_range(to_unit_range(pixels), dtype)


def precision_for(pixels: Tensor, precision: torch.dtype) -> torch.dtype:
    """Return the dtype to convolve pixels in: faster ones than float32 would lose some of 16 bits.

    Args:
        pixels: uint8 or uint16.
        precision: the dtype for 8-bit pixels.
    """
    return torch.float32 if pixels.dtype == torch.uint16 else precision


def widen_uint16(pixels: Tensor) -> Tensor:
    """Return uint16 pixels as int32, and pixels of other dtypes unchanged."""
    return pixels.to(torch.int32) if pixels.dtype == torch.uint16 else pixels


def largest_value(dtype: torch.dtype) -> int:
    """Return the value of white: 255 for uint8, 65,535 for uint16 and int32."""
    return 255 if dtype == torch.uint8 else 65_535
