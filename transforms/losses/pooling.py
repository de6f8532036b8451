"""Poolings of 2x2, of the same values as PyTorch's, whose gradient every core has a part in.

PyTorch's gradients divide their work by images; a batch of one, which an optimisation has, is left
to one core.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def max_pool(values: Tensor) -> Tensor:
    """Return the maximum of every 2x2 values; the last of an odd number is left out.

    Args:
        values: shape (B, C, H, W), each side 2 at least.

    Returns:
        Shape (B, C, H // 2, W // 2).
    """
    batch, channels, height, width = values.shape
    if height % 2:
        # Other than that of a slice, its gradient keeps the memory format.
        values = F.pad(values, (0, 0, 0, -1))
    # Two rows of an image are an image to PyTorch. In channels_last, no value is moved for it.
    pairs = values.permute(0, 2, 3, 1).reshape(-1, 2, width, channels)
    pooled = F.max_pool2d(pairs.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    return pooled.reshape(batch, height // 2, width // 2, channels).permute(0, 3, 1, 2)


def average_pool(values: Tensor) -> Tensor:
    """Return the mean of every 2x2 values; the last of an odd number is left out.

    Args:
        values: shape (B, C, H, W), each side 2 at least.

    Returns:
        Shape (B, C, H // 2, W // 2).
    """
    pooled: Tensor = _AveragePool.apply(values)
    return pooled


class _AveragePool(torch.autograd.Function):
    """Means, each of which gives a quarter of its gradient to each of its values."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.left_out = (0, values.shape[3] % 2, 0, values.shape[2] % 2)
        return F.avg_pool2d(values, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        spread = F.interpolate(gradient / 4, scale_factor=2, mode="nearest")
        return F.pad(spread, ctx.left_out) if any(ctx.left_out) else spread
