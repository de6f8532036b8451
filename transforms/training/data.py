"""What trainings see: random crops of photographs and paintings."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePath
from typing import Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional

from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.formats import FORMAT_OF_EXTENSION, ImageError


class ImageFile(Protocol):
    """An image file, on the disk (a `Path` is one) or in another storage; `str` says where."""

    @property
    def name(self) -> str:
        """The last part of its path."""

    def read_bytes(self) -> bytes:
        """Return what it holds.

        Raises:
            OSError: it cannot be read.
        """


ListFiles = Callable[[str], Iterable[ImageFile]]
"""Lists the files of a folder and below, or of what else it takes. Raises OSError if it cannot."""

AnImageFile = TypeVar("AnImageFile", bound=ImageFile)


def files_below(folder: str) -> Iterable[Path]:
    """Return the files in a folder of the disk, and below."""
    return Path(folder).rglob("*")


class Draw:
    """Random numbers that depend on a seed and the number of a crop alone."""

    def __init__(self, seed: int, number: int) -> None:
        digest = hashlib.sha256(f"{seed} {number}".encode()).digest()
        self._generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)

    def integer(self, low: int, high: int) -> int:
        """Return an integer from `low` to `high`, both included."""
        return int(torch.randint(low, high + 1, (), generator=self._generator))

    def uniform(self, low: float, high: float) -> float:
        """Return a number from `low` to `high`."""
        return low + (high - low) * float(torch.rand((), generator=self._generator))

    def noise(self, shape: Sequence[int]) -> Tensor:
        """Return normally distributed numbers."""
        return torch.randn(tuple(shape), generator=self._generator)


class ContentCrops(Dataset[Tensor]):
    """Random square crops of photographs; crop i depends on the seed and i alone.

    Attributes:
        files: the photographs.
    """

    def __init__(
        self, files: Sequence[ImageFile], crop_size: int, seed: int, smallest: float = 0.5
    ) -> None:
        """Take note of what to crop.

        Args:
            files: photographs, at least one.
            crop_size: side of a crop in pixels.
            seed: decides every crop.
            smallest: the least that a crop shows of the photograph's short side, from 0 to 1.
        """
        self.files = files
        self._crop_size = crop_size
        self._seed = seed
        self._smallest = smallest

    def __getitem__(self, index: int) -> Tensor:
        """Return a crop: RGB in [0, 1], shape (3, crop_size, crop_size).

        One in two is mirrored.

        Raises:
            OSError: the photograph cannot be read.
            ImageError: it cannot be decoded.
        """
        draw = Draw(self._seed, index)
        file = self.files[draw.integer(0, len(self.files) - 1)]
        return random_crop(file, self._crop_size, draw, self._smallest)


def list_images(folder: Path, without: Sequence[str] = ()) -> list[Path]:
    """Return the image files in a folder of the disk and below, in order.

    Args:
        folder: searched recursively.
        without: patterns of names to leave out, such as `*.png`.

    Raises:
        ValueError: there are none.
    """
    return images_among(files_below(str(folder)), str(folder), without)


def images_among(
    files: Iterable[AnImageFile], place: str, without: Sequence[str] = ()
) -> list[AnImageFile]:
    """Return the image files among files, in order.

    Args:
        files: in any order.
        place: where they come from, to be named if there are none.
        without: patterns of names to leave out, such as `*.png`.

    Raises:
        ValueError: there are none.
    """
    images = [
        file
        for file in files
        if PurePath(file.name).suffix.lower() in FORMAT_OF_EXTENSION
        and not any(fnmatch(file.name, pattern) for pattern in without)
    ]
    if not images:
        raise ValueError(f"there are no images in {place}")
    return sorted(images, key=str)


def random_crop(file: ImageFile, size: int, draw: Draw, smallest: float = 0.5) -> Tensor:
    """Return a random crop of an image, one in two mirrored: RGB in [0, 1], shape (3, size, size).

    Args:
        file: the image.
        size: side of the crop in pixels.
        draw: decides which.
        smallest: the least that it shows of the image's short side, from 0 to 1.

    Raises:
        OSError: the image cannot be read.
        ImageError: it cannot be decoded.
    """
    pixels = _read_pixels(file)
    height, width = pixels.shape[1:]
    shorter = min(height, width)
    side = draw.integer(max(1, round(shorter * smallest)), shorter)
    top, left = draw.integer(0, height - side), draw.integer(0, width - side)
    crop = functional.resized_crop(pixels, top, left, side, side, [size, size], antialias=True)
    if draw.integer(0, 1):
        crop = functional.horizontal_flip(crop)
    return crop.float() / 255


def read_style_image(path: Path, short_side: int | None) -> Tensor:
    """Return a painting: RGB in [0, 1], shape (1, 3, H, W), its short side as given or, None, own.

    Raises:
        OSError: the file cannot be read.
        ImageError: it cannot be decoded.
    """
    pixels = _read_pixels(path)
    if short_side is not None:
        pixels = functional.resize(pixels, [short_side], antialias=True)
    return pixels.unsqueeze(0).float() / 255


def _read_pixels(file: ImageFile) -> Tensor:
    try:
        return decode(file.read_bytes()).with_depth(torch.uint8).pixels
    except ImageError as error:
        raise ImageError(f"{file}: {error}") from error
