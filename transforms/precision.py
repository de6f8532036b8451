"""Computation in a fast precision, and again in float32 where that does not suffice."""

from collections.abc import Callable

import torch
from torch import Tensor


class NonFiniteError(Exception):
    """The network made values that are not finite, even in float32."""


def compute_finite(
    compute: Callable[[], Tensor], device: torch.device, precision: torch.dtype
) -> Tensor:
    """Return what a network makes, in float32, all of it finite.

    Args:
        compute: returns the output; called under autocast, and again without it if values of the
            output are not finite.
        device: where it computes.
        precision: of the convolutions, at first.

    Raises:
        NonFiniteError: values are not finite in float32 either.
    """
    for attempt in dict.fromkeys((precision, torch.float32)):
        lower = attempt != torch.float32
        with torch.autocast(device.type, attempt if lower else None, enabled=lower):
            output = compute().float()
        if torch.isfinite(output).all():
            return output
    raise NonFiniteError("The network made values that are not finite (NaN or infinite).")
