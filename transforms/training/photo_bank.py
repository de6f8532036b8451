"""Crops of photos that are kept in memory, some of the crops dark, foggy or noisy."""

from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional

from stylebeam.transforms.training.data import Draw, TrainingImages

_PART_DEGRADED = 0.2
_LEAST_CONTRAST = 0.1
_LIGHTEST_FOG = 0.7
_MOST_NOISE = 0.06
_SMALLEST_CROP = 0.5  # of the photo's short side
# Short side in pixels to which larger photos are reduced, unless crops need more.
_LARGEST_PHOTO = 1024
_LOADERS = 8


class PhotoBank(Dataset[Tensor]):
    """Random square crops of photos, which are decoded once and kept as bytes on a device.

    Crop i depends only on the seed and i. A crop is a pair of images: what the network sees, and
    what its picture is compared with. One crop in five is darker or has less contrast, and the
    network sees it with noise, while the other image of the pair has none. So the network learns to
    leave nights and fog clean.
    """

    def __init__(
        self, photos: TrainingImages, crop_size: int, seed: int, device: torch.device
    ) -> None:
        """Decode the photos.

        Args:
            photos: the photos. Those that are larger than crops need are reduced.
            crop_size: side of a crop in pixels.
            seed: of all random choices.
            device: where the photos are kept and crops are made.

        Raises:
            OSError: a storage does not answer.
            ImageError: no photo can be read.
        """
        largest = max(_LARGEST_PHOTO, round(crop_size / _SMALLEST_CROP))

        def read(number: int) -> Tensor | None:
            pixels = photos.read(number)
            if pixels is None:
                return None
            if min(pixels.shape[1:]) > largest:
                pixels = functional.resize(pixels, [largest], antialias=True)
            return pixels.to(device)

        with ThreadPoolExecutor(_LOADERS) as pool:
            found = pool.map(read, range(len(photos.files)))
            self._photos = [pixels for pixels in found if pixels is not None]
        if not self._photos:
            raise photos.nothing_left()
        self._crop_size = crop_size
        self._seed = seed

    def __getitem__(self, index: int) -> Tensor:
        """Return a crop, mirrored with probability 1/2.

        Returns:
            RGB in [0, 1], shape (2, 3, crop_size, crop_size), on the device: what the network sees,
            and what its picture is compared with.
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
            contrast = draw.uniform(_LEAST_CONTRAST, 1)
            crop = draw.uniform(0, _LIGHTEST_FOG) * (1 - contrast) + contrast * crop
            noise = torch.randn(crop.shape, generator=draw.generator).to(crop)
            seen = (crop + draw.uniform(0, _MOST_NOISE) * noise).clamp(0, 1)
        return torch.cat([seen, crop])
