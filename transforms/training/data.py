"""Training data: random crops of photos and paintings."""

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
    """An image file on disk (a `Path`) or in another storage; `str` returns its path or URL."""

    @property
    def name(self) -> str:
        """The last part of its path."""

    def read_bytes(self) -> bytes:
        """Return its contents.

        Raises:
            OSError: it cannot be read.
        """


ListFiles = Callable[[str], Iterable[ImageFile]]
"""Lists the files of a folder or URL, recursively. Raises OSError if they cannot be listed."""

ImageFileT = TypeVar("ImageFileT", bound=ImageFile)


def files_below(folder: str) -> Iterable[Path]:
    """Return the files in a folder on disk, recursively."""
    return Path(folder).rglob("*")


class Draw:
    """Random numbers that depend only on a seed and the number of a crop.

    Attributes:
        generator: for random numbers of other kinds.
    """

    def __init__(self, seed: int, number: int) -> None:
        digest = hashlib.sha256(f"{seed} {number}".encode()).digest()
        self.generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)

    def integer(self, low: int, high: int) -> int:
        """Return an integer from `low` to `high`, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def uniform(self, low: float, high: float) -> float:
        """Return a number from `low` to `high`."""
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def noise(self, shape: Sequence[int]) -> Tensor:
        """Return normally distributed numbers."""
        return torch.randn(tuple(shape), generator=self.generator)


class ContentCrops(Dataset[Tensor]):
    """Random square crops of photos; crop i depends only on the seed and i.

    Attributes:
        files: the photos.
    """

    def __init__(
        self, files: Sequence[ImageFile], crop_size: int, seed: int, smallest: float = 0.5
    ) -> None:
        """Make the data set.

        Args:
            files: photos, at least one.
            crop_size: side of a crop in pixels.
            seed: of all random choices.
            smallest: the side of the smallest crop, as a fraction of the photo's short side.
        """
        self.files = files
        self._crop_size = crop_size
        self._seed = seed
        self._smallest = smallest

    def __getitem__(self, index: int) -> Tensor:
        """Return a crop, mirrored with probability 1/2: RGB in [0, 1], (3, crop_size, crop_size).

        Raises:
            OSError: the photo cannot be read.
            ImageError: it cannot be decoded.
        """
        draw = Draw(self._seed, index)
        file = self.files[draw.integer(0, len(self.files) - 1)]
        return random_crop(file, self._crop_size, draw, self._smallest)


def list_images(folder: Path, without: Sequence[str] = ()) -> list[Path]:
    """Return the image files in a folder on disk, sorted by path.

    Args:
        folder: searched recursively.
        without: patterns of file names to leave out, such as `*.png`.

    Raises:
        ValueError: there are none.
    """
    return images_among(files_below(str(folder)), str(folder), without)


def images_among(
    files: Iterable[ImageFileT], place: str, without: Sequence[str] = ()
) -> list[ImageFileT]:
    """Return the image files among files, sorted by path.

    Args:
        files: in any order.
        place: where the files are; named in the error.
        without: patterns of file names to leave out, such as `*.png`.

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
    """Return a random crop of an image, mirrored with probability 1/2.

    Args:
        file: the image.
        size: side of the crop in pixels.
        draw: the random numbers.
        smallest: the side of the smallest crop, as a fraction of the image's short side.

    Returns:
        RGB in [0, 1], shape (3, size, size).

    Raises:
        OSError: the image cannot be read.
        ImageError: it cannot be decoded.
    """
    pixels = read_pixels(file)
    height, width = pixels.shape[1:]
    shorter = min(height, width)
    side = draw.integer(max(1, round(shorter * smallest)), shorter)
    top, left = draw.integer(0, height - side), draw.integer(0, width - side)
    crop = functional.resized_crop(pixels, top, left, side, side, [size, size], antialias=True)
    if draw.integer(0, 1):
        crop = functional.horizontal_flip(crop)
    return crop.float() / 255


def read_style_image(path: Path, short_side: int | None) -> Tensor:
    """Return a painting, RGB in [0, 1], shape (1, 3, H, W).

    Args:
        path: of the image file.
        short_side: in pixels, to which the painting is resized; None to leave it as it is.

    Raises:
        OSError: the file cannot be read.
        ImageError: it cannot be decoded.
    """
    pixels = read_pixels(path)
    if short_side is not None:
        pixels = functional.resize(pixels, [short_side], antialias=True)
    return pixels.unsqueeze(0).float() / 255


def read_pixels(file: ImageFile) -> Tensor:
    """Return the pixels of an image, uint8 of shape (3, H, W).

    Raises:
        OSError: the file cannot be read.
        ImageError: it cannot be decoded.
    """
    try:
        return decode(file.read_bytes()).with_depth(torch.uint8).pixels
    except ImageError as error:
        raise ImageError(f"{file}: {error}") from error
