"""What backends compute, and how they are called."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

EXAMPLE_SIZE = 96, 128
"""Of the pixels, height and width, that a computation is compiled with. All networks accept it, and
it is not so small that PyTorch would convolve it otherwise than a photo."""


class Workload(NamedTuple):
    """What a backend is made for.

    Attributes:
        at_once: how many threads will call, at most as many as `backends.images_at_once` says.
        images: how many there will be in all, about.
    """

    at_once: int = 1
    images: int = 1


ONE_IMAGE = Workload()


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
