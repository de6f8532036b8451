"""Training data: random crops of photos and paintings."""

import hashlib
import threading
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


# Reasons why an image cannot be read that stay: another attempt would not help.
_LASTING = (ImageError, FileNotFoundError, IsADirectoryError, PermissionError)

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


class TrainingImages:
    """The images that a training draws from. Those that cannot be read are left out.

    Attributes:
        files: the image files, also those that are left out.
    """

    def __init__(self, files: Sequence[ImageFile], report: Callable[[str], None] = print) -> None:
        """Store the files.

        Args:
            files: image files, at least one.
            report: receives one line for each image that is left out.
        """
        self.files = files
        self._report = report
        self._left_out: dict[int, str] = {}
        self._lock = threading.Lock()

    def drawn(self, draw: Draw) -> Tensor:
        """Return the pixels of a random image, uint8 of shape (3, H, W).

        If it cannot be read, it is the next one. So the choice depends on the draw and the files
        alone, and a training that is resumed sees the same images.

        Raises:
            OSError: a storage does not answer.
            ImageError: no image can be read.
        """
        first = draw.integer(0, len(self.files) - 1)
        for number in [*range(first, len(self.files)), *range(first)]:
            pixels = self.read(number)
            if pixels is not None:
                return pixels
        raise self.nothing_left()

    def read(self, number: int) -> Tensor | None:
        """Return the pixels of an image, uint8 of shape (3, H, W); None if it cannot be read.

        Raises:
            OSError: a storage does not answer.
        """
        if number in self._left_out:
            return None
        try:
            return read_pixels(self.files[number])
        except _LASTING as error:
            reason = str(error)
            if isinstance(error, OSError):
                reason = f"{self.files[number]}: {error.strerror or error}."
        with self._lock:
            if number not in self._left_out:
                self._left_out[number] = reason
                self._report(f"An image is left out: {reason}")
        return None

    def nothing_left(self) -> ImageError:
        """Return the error for images none of which can be read."""
        reason = next(iter(self._left_out.values()))
        return ImageError(f"None of the {len(self.files)} images can be read. {reason}")

    def report_left_out(self) -> None:
        """Report how many images were left out, if any."""
        if self._left_out:
            count = len(self._left_out)
            self._report(f"{count} of {len(self.files)} images were left out: they cannot be read.")


class ContentCrops(Dataset[Tensor]):
    """Random square crops of photos; crop i depends only on the seed and i."""

    def __init__(
        self, photos: TrainingImages, crop_size: int, seed: int, smallest: float = 0.5
    ) -> None:
        """Make the data set.

        Args:
            photos: the photos.
            crop_size: side of a crop in pixels.
            seed: of all random choices.
            smallest: the side of the smallest crop, as a fraction of the photo's short side.
        """
        self._photos = photos
        self._crop_size = crop_size
        self._seed = seed
        self._smallest = smallest

    def __getitem__(self, index: int) -> Tensor:
        """Return a crop, mirrored with probability 1/2: RGB in [0, 1], (3, crop_size, crop_size).

        Raises:
            OSError, ImageError: as `TrainingImages.drawn`.
        """
        return random_crop(self._photos, self._crop_size, Draw(self._seed, index), self._smallest)


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


def random_crop(images: TrainingImages, size: int, draw: Draw, smallest: float = 0.5) -> Tensor:
    """Return a random crop of a random image, mirrored with probability 1/2.

    Args:
        images: the images.
        size: side of the crop in pixels.
        draw: the random numbers.
        smallest: the side of the smallest crop, as a fraction of the image's short side.

    Returns:
        RGB in [0, 1], shape (3, size, size).

    Raises:
        OSError, ImageError: as `TrainingImages.drawn`.
    """
    pixels = images.drawn(draw)
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
    return at_short_side(read_pixels(path), short_side)


def at_short_side(pixels: Tensor, short_side: int | None) -> Tensor:
    """Return an image, RGB in [0, 1], shape (1, 3, H, W).

    Args:
        pixels: uint8, shape (3, H, W).
        short_side: in pixels, to which the image is resized; None to leave it as it is.
    """
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
