"""Computation in a fast precision, repeated in float32 if the result is not finite."""

from collections.abc import Callable

import torch
from torch import Tensor


class NonFiniteError(Exception):
    """The output of the network is not finite, even in float32."""


def convolutions_in(precision: torch.dtype, device: torch.device) -> torch.autocast:
    """Return a context in which networks with float32 weights convolve in a precision."""
    lower = precision != torch.float32
    return torch.autocast(device.type, precision if lower else None, enabled=lower)


def compute_finite(
    compute: Callable[[torch.dtype], tuple[Tensor, bool]], precision: torch.dtype
) -> Tensor:
    """Return the output of a network, recomputed in float32 if it is not finite.

    Args:
        compute: takes a precision, and returns the output and whether all values are finite.
        precision: of the first attempt.

    Raises:
        NonFiniteError: the output is not finite in float32 either.
    """
    for attempt in dict.fromkeys((precision, torch.float32)):
        output, finite = compute(attempt)
        if finite:
            return output
    raise NonFiniteError("The network made values that are not finite (NaN or infinite).")
