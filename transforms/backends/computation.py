"""What backends compute, and how they are called."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn


class Computation(nn.Module):
    """What a backend computes: whole-number pixels in, whole-number pixels out.

    `forward` takes pixels of shape (1, H, W, C), uint8, or int32 for 16 bits, and the settings. It
    returns pixels of the same type, shape (1, H', W', C'), and whether all values behind them were
    finite, a boolean tensor. Pixels are whole numbers outside it, so that less is moved.
    """


class Backend(Protocol):
    """Computes. Calls from several threads are safe."""

    def __call__(
        self, pixels: Tensor, settings: Sequence[Tensor], precision: torch.dtype
    ) -> tuple[Tensor, bool]:
        """Return what the computation makes of pixels, on the CPU.

        Args:
            pixels: of the computation, on the CPU.
            settings: its other inputs, likewise.
            precision: of the convolutions.

        Returns:
            The pixels that it makes, and whether all values were finite.
        """
