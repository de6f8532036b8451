"""Training data of the distillation: crops of photos, of paintings, and of mixtures of both."""

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional

from stylebeam.transforms.training.data import Draw, TrainingImages, random_crop


class DistillationCrops(Dataset[Tensor]):
    """Crops of photos and paintings, and mixtures, like pictures during an optimization."""

    def __init__(
        self, photos: TrainingImages, paintings: TrainingImages, crop_size: int, seed: int
    ) -> None:
        """Make the data set; crop i depends only on the seed and i.

        Args:
            photos: the photos.
            paintings: the paintings.
            crop_size: side of a crop in pixels.
            seed: of all random choices.
        """
        self._photos = photos
        self._paintings = paintings
        self._crop_size = crop_size
        self._seed = seed

    def __getitem__(self, index: int) -> Tensor:
        """Return a crop: RGB in [-0.1, 1.1], shape (3, crop_size, crop_size).

        Half of the crops show photos, a fifth paintings, and the others a mixture: the shapes of a
        photo with the details of a painting. The colors of a third are changed, so that the
        network generalizes to other paintings; noise is added to a quarter.

        Raises:
            OSError, ImageError: as `TrainingImages.drawn`.
        """
        draw = Draw(self._seed, index)
        kind = draw.uniform(0, 1)
        if kind < 0.2:
            crop = self._crop_of(self._paintings, draw)
        else:
            crop = self._crop_of(self._photos, draw)
        if kind > 0.7:
            crop = with_details_of(self._crop_of(self._paintings, draw), crop, draw)
        if draw.uniform(0, 1) < 0.33:
            crop = _with_other_colors(crop, draw)
        if draw.uniform(0, 1) < 0.25:
            crop = crop + draw.uniform(0, 0.3) * draw.noise(crop.shape)
        return crop.clamp(-0.1, 1.1)

    def _crop_of(self, images: TrainingImages, draw: Draw) -> Tensor:
        return random_crop(images, self._crop_size, draw, 0.3)


def with_details_of(painting: Tensor, photo: Tensor, draw: Draw) -> Tensor:
    """Return the shapes of a photo with some of the details of a painting.

    Args:
        painting: RGB, shape (3, H, W).
        photo: RGB, of the same shape.
        draw: chooses the amount of details and their scale.
    """
    sigma = draw.uniform(1.0, 8.0)
    kernel = 2 * round(2 * sigma) + 1
    details = painting - functional.gaussian_blur(painting, [kernel, kernel], [sigma, sigma])
    shapes = torch.lerp(
        photo,
        functional.gaussian_blur(photo, [kernel, kernel], [sigma, sigma]),
        draw.uniform(0, 1),
    )
    return shapes + draw.uniform(0.3, 1.5) * details


def _with_other_colors(image: Tensor, draw: Draw) -> Tensor:
    """Return an image with its color channels mixed, and with other brightness and contrast."""
    mixing = torch.eye(3).roll(draw.integer(0, 2), 0) + 0.25 * draw.noise((3, 3))
    mixed = torch.einsum("ij,jhw->ihw", mixing / mixing.sum(1, keepdim=True).clamp(0.5), image)
    middle = mixed.mean(dim=(1, 2), keepdim=True)
    return (mixed - middle) * draw.uniform(0.5, 1.5) + middle.clamp(0, 1) + draw.uniform(-0.2, 0.2)
