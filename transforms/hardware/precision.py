"""Computation in a fast precision, and again in float32 where that does not suffice."""

from collections.abc import Callable

import torch
from torch import Tensor


class NonFiniteError(Exception):
    """The network made values that are not finite, even in float32."""


def convolutions_in(precision: torch.dtype, device: torch.device) -> torch.autocast:
    """Return a context in which networks with weights in float32 convolve in a precision."""
    lower = precision != torch.float32
    return torch.autocast(device.type, precision if lower else None, enabled=lower)


def compute_finite(
    compute: Callable[[torch.dtype], tuple[Tensor, bool]], precision: torch.dtype
) -> Tensor:
    """Return what a network makes, from finite values alone.

    Args:
        compute: takes a precision, and returns the output and whether its values are finite.
        precision: to compute in at first; in float32 if that does not do.

    Raises:
        NonFiniteError: values are not finite in float32 either.
    """
    for attempt in dict.fromkeys((precision, torch.float32)):
        output, finite = compute(attempt)
        if finite:
            return output
    raise NonFiniteError("The network made values that are not finite (NaN or infinite).")
