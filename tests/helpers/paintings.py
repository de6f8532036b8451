"""Paintings for tests, and the loss network that measures them."""

from collections.abc import Collection
from functools import cache

import torch
from torch import Tensor

from stylebeam.transforms.losses.borders import ReflectedMargin
from stylebeam.transforms.losses.loss_network import LossNetwork, load_loss_network
from stylebeam.transforms.prediction.statistics import LAYERS, PaintingStatistics, measure_painting


class PixelNetwork:
    """A loss network whose features are the pixels themselves, in every layer."""

    layers = frozenset(LAYERS)

    def __call__(self, images: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        return dict.fromkeys(self.layers if layers is None else layers, images)

    def readout(self, layer: str) -> Tensor | None:
        """Return None, as features are compared as they are."""
        return None


@cache
def shipped_network() -> LossNetwork:
    """Return the distilled VGG that paintings are measured with."""
    cpu = torch.device("cpu")
    return ReflectedMargin(load_loss_network("embedded", LAYERS, cpu, torch.float32))


def painting(seed: int, height: int = 128, width: int = 128) -> Tensor:
    """Return random strokes in a random palette, RGB in [0, 1], shape (1, 3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 3 + seed % 7, 3 + seed % 5, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    noise = torch.rand(1, 3, height, width, generator=generator)
    return (smooth + 0.3 * (seed % 3) * (noise - 0.5)).clamp(0, 1)


def plain(red: float, green: float, blue: float, side: int = 128) -> Tensor:
    """Return an image of one color, shape (1, 3, side, side)."""
    color = torch.tensor([red, green, blue], dtype=torch.float32)
    return color[None, :, None, None].expand(1, 3, side, side)


def measured(image: Tensor) -> PaintingStatistics:
    """Return the statistics of a painting, measured at its own size."""
    return measure_painting(shipped_network(), image)
