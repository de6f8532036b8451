"""2x2 poolings with the same values as PyTorch's, and gradients that use all cores.

PyTorch's gradients parallelize over the images of a batch only. An optimization has a batch of one.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def max_pool(values: Tensor) -> Tensor:
    """Return the maximum of each 2x2 block; the last row or column of an odd number is dropped.

    Args:
        values: shape (B, C, H, W), each side 2 at least.

    Returns:
        Shape (B, C, H // 2, W // 2).
    """
    batch, channels, height, width = values.shape
    if height % 2:
        # Unlike a slice's, the gradient of this keeps the memory format.
        values = F.pad(values, (0, 0, 0, -1))
    # Each pair of rows becomes an image of its own. In channels_last, this copies nothing.
    pairs = values.permute(0, 2, 3, 1).reshape(-1, 2, width, channels)
    pooled = F.max_pool2d(pairs.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    return pooled.reshape(batch, height // 2, width // 2, channels).permute(0, 3, 1, 2)


def average_pool(values: Tensor) -> Tensor:
    """Return the mean of each 2x2 block; the last row or column of an odd number is dropped.

    Args:
        values: shape (B, C, H, W), each side 2 at least.

    Returns:
        Shape (B, C, H // 2, W // 2).
    """
    pooled: Tensor = _AveragePool.apply(values)
    return pooled


class _AveragePool(torch.autograd.Function):
    """Average pooling. The gradient of each mean is spread evenly over its four values."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.dropped = (0, values.shape[3] % 2, 0, values.shape[2] % 2)
        return F.avg_pool2d(values, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        spread = F.interpolate(gradient / 4, scale_factor=2, mode="nearest")
        return F.pad(spread, ctx.dropped) if any(ctx.dropped) else spread
