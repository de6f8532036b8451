"""Crops of photos that lie in memory, some of them dark, foggy or noisy."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from stylebeam.transforms.training.data import Draw, ImageFile, read_pixels

_PART_DEGRADED = 0.2
_SMALLEST_CROP = 0.5  # of the photo's short side
_LOADERS = 8


class PhotoBank(Dataset[Tensor]):
    """Random square crops of photos, which are decoded once and kept as bytes on a device.

    Crop i depends only on the seed and i. A crop is a pair of images: what the network sees, and
    what its picture is compared with. They differ in one of five crops: the network sees it
    darker or with less contrast, and with noise, and the other image is without the noise. So
    nights and fog stay clean.
    """

    def __init__(
        self, files: Sequence[ImageFile], crop_size: int, seed: int, device: torch.device
    ) -> None:
        """Decode the photos.

        Args:
            files: photos, at least one.
            crop_size: side of a crop in pixels.
            seed: of all random choices.
            device: where the photos are kept, and crops are made.

        Raises:
            OSError: a photo cannot be read.
            ImageError: a photo cannot be decoded.
        """
        with ThreadPoolExecutor(_LOADERS) as pool:
            self._photos = [pixels.to(device) for pixels in pool.map(read_pixels, files)]
        self._crop_size = crop_size
        self._seed = seed

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> Tensor:
        """Return a crop, RGB in [0, 1], shape (2, 3, crop_size, crop_size).

        Returns:
            What the network sees, and what its picture is compared with.
        """
        draw = Draw(self._seed, index)
        photo = self._photos[draw.integer(0, len(self._photos) - 1)]
        height, width = photo.shape[1:]
        shorter = min(height, width)
        side = draw.integer(max(1, round(shorter * _SMALLEST_CROP)), shorter)
        top, left = draw.integer(0, height - side), draw.integer(0, width - side)
        part = photo[None, :, top : top + side, left : left + side].float() / 255
        size = [self._crop_size] * 2
        crop = F.interpolate(part, size, mode="bilinear", antialias=True)
        if draw.integer(0, 1):
            crop = crop.flip(3)
        seen = crop
        if draw.uniform(0, 1) < _PART_DEGRADED:
            contrast = draw.uniform(0.1, 1)
            crop = draw.uniform(0, 0.7) * (1 - contrast) + contrast * crop
            noise = torch.randn(crop.shape, generator=draw.generator).to(crop)
            seen = (crop + draw.uniform(0, 0.06) * noise).clamp(0, 1)
        return torch.cat([seen, crop])
