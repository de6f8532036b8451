"""What a distillation sees: crops of photographs, of paintings, and of what lies between."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional

from stylebeam.transforms.training.data import Draw, random_crop


class DistillationCrops(Dataset[Tensor]):
    """Crops of photographs and paintings, and of what an optimisation meets between the two."""

    def __init__(
        self, photographs: Sequence[Path], paintings: Sequence[Path], crop_size: int, seed: int
    ) -> None:
        """Take note of the images; crop i depends on the seed and i alone.

        Args:
            photographs: paths of images.
            paintings: paths of images.
            crop_size: side of a crop in pixels.
            seed: decides every crop.
        """
        self._photographs = photographs
        self._paintings = paintings
        self._crop_size = crop_size
        self._seed = seed

    def __getitem__(self, index: int) -> Tensor:
        """Return a crop: RGB, about [0, 1], shape (3, crop_size, crop_size).

        Half are of photographs, a fifth of paintings, the rest halfway from one to the other: the
        shapes of a photograph with the details of a painting. A third get other colours, so that
        the network serves paintings unlike those that it sees; a quarter get noise.

        Raises:
            OSError: an image cannot be read.
            ImageError: it cannot be decoded.
        """
        draw = Draw(self._seed, index)
        kind = draw.uniform(0, 1)
        if kind < 0.2:
            crop = self._crop_of(self._paintings, draw)
        else:
            crop = self._crop_of(self._photographs, draw)
        if kind > 0.7:
            crop = with_details_of(self._crop_of(self._paintings, draw), crop, draw)
        if draw.uniform(0, 1) < 0.33:
            crop = _with_other_colours(crop, draw)
        if draw.uniform(0, 1) < 0.25:
            crop = crop + draw.uniform(0, 0.3) * draw.noise(crop.shape)
        return crop.clamp(-0.1, 1.1)

    def _crop_of(self, files: Sequence[Path], draw: Draw) -> Tensor:
        return random_crop(files[draw.integer(0, len(files) - 1)], self._crop_size, draw, 0.3)


def with_details_of(painting: Tensor, photograph: Tensor, draw: Draw) -> Tensor:
    """Return the shapes of one image with some of the details of another.

    Args:
        painting: gives the details, RGB, shape (3, H, W).
        photograph: gives the shapes, RGB, of the same shape.
        draw: decides how much, and what is a detail.
    """
    sigma = draw.uniform(1.0, 8.0)
    kernel = 2 * round(2 * sigma) + 1
    details = painting - functional.gaussian_blur(painting, [kernel, kernel], [sigma, sigma])
    shapes = torch.lerp(
        photograph,
        functional.gaussian_blur(photograph, [kernel, kernel], [sigma, sigma]),
        draw.uniform(0, 1),
    )
    return shapes + draw.uniform(0.3, 1.5) * details


def _with_other_colours(image: Tensor, draw: Draw) -> Tensor:
    """Return an image with its channels mixed anew, and with other brightness and contrast."""
    mixing = torch.eye(3).roll(draw.integer(0, 2), 0) + 0.25 * draw.noise((3, 3))
    mixed = torch.einsum("ij,jhw->ihw", mixing / mixing.sum(1, keepdim=True).clamp(0.5), image)
    middle = mixed.mean(dim=(1, 2), keepdim=True)
    return (mixed - middle) * draw.uniform(0.5, 1.5) + middle.clamp(0, 1) + draw.uniform(-0.2, 0.2)
