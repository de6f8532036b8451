"""The interfaces of computations and backends."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

EXAMPLE_SIZE = 96, 128
"""Height and width of the image that a computation is compiled with.

All networks accept it, and it is large enough that PyTorch convolves it in the same way as a photo.
"""


class Workload(NamedTuple):
    """The number of images that a backend will compute.

    Attributes:
        at_once: number of threads that call the backend, at most `backends.images_at_once`.
        images: approximate number of images in total.
    """

    at_once: int = 1
    images: int = 1


ONE_IMAGE = Workload()


class Computation(nn.Module):
    """A network with integer pixels as its input and output.

    `forward` takes pixels of shape (1, H, W, C), uint8, or int32 for 16 bits, and tensors of
    settings. It returns pixels of the same type, shape (1, H', W', C'), and a boolean tensor that
    says whether all values were finite before they were rounded. The conversion from and to
    integers is part of the computation so that fewer bytes are transferred.
    """


class Backend(Protocol):
    """Executes a computation. Calls from several threads are safe."""

    def __call__(
        self, pixels: Tensor, settings: Sequence[Tensor], precision: torch.dtype
    ) -> tuple[Tensor, bool]:
        """Return the output of the computation.

        Args:
            pixels: input of the computation, on the CPU.
            settings: its other inputs, on the CPU.
            precision: of the convolutions.

        Returns:
            The output pixels, on the CPU, and whether all values were finite.
        """
