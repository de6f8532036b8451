"""What a training sees: random crops of photographs, and the painting."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional

from transforms.image_io import FORMAT_OF_EXTENSION, ImageError, decode


class ContentCrops(Dataset[Tensor]):
    """Random square crops of a folder's photographs; crop i depends on the seed and i alone."""

    def __init__(self, folder: Path, crop_size: int, length: int, seed: int) -> None:
        """List the folder.

        Args:
            folder: searched recursively for images.
            crop_size: side of a crop in pixels.
            length: how many crops there are.
            seed: decides every crop.

        Raises:
            ValueError: the folder holds no images.
        """
        self.files = sorted(
            path for path in folder.rglob("*") if path.suffix.lower() in FORMAT_OF_EXTENSION
        )
        if not self.files:
            raise ValueError(f"there are no images in {folder}")
        self._crop_size = crop_size
        self._length = length
        self._seed = seed

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Tensor:
        """Return a crop: RGB in [0, 1], shape (3, crop_size, crop_size).

        It shows half to all of the photograph's short side, one in two mirrored.

        Raises:
            OSError: the photograph cannot be read.
            ImageError: it cannot be decoded.
        """
        digest = hashlib.sha256(f"{self._seed} {index}".encode()).digest()
        random = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)

        def draw(low: int, high: int) -> int:
            return int(torch.randint(low, high + 1, (), generator=random))

        pixels = _read_pixels(self.files[draw(0, len(self.files) - 1)])
        height, width = pixels.shape[1:]
        shorter = min(height, width)
        side = draw((shorter + 1) // 2, shorter)
        top, left = draw(0, height - side), draw(0, width - side)
        size = [self._crop_size, self._crop_size]
        crop = functional.resized_crop(pixels, top, left, side, side, size, antialias=True)
        if draw(0, 1):
            crop = functional.horizontal_flip(crop)
        return crop.float() / 255


def read_style_image(path: Path, short_side: int) -> Tensor:
    """Return a painting: RGB in [0, 1], shape (1, 3, H, W), its short side as given.

    Raises:
        OSError: the file cannot be read.
        ImageError: it cannot be decoded.
    """
    pixels = _read_pixels(path)
    resized = functional.resize(pixels, [short_side], antialias=True)
    return resized.unsqueeze(0).float() / 255


def _read_pixels(path: Path) -> Tensor:
    try:
        return decode(path.read_bytes()).pixels
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
