"""The images of an evaluation: found by name in a folder, and read at the size of a picture."""

from dataclasses import dataclass
from pathlib import Path, PurePath

from torch import Tensor
from torchvision.transforms.v2.functional import resize

from stylebeam.transforms.evaluation.measures import MIN_SIDE
from stylebeam.transforms.training.data import list_images, read_pixels
from stylebeam.transforms.training.loop_config import ConfigValueError


class ImageFolder:
    """The image files in a folder, searched recursively.

    Attributes:
        files: sorted by path.
    """

    def __init__(self, key: str, folder: Path) -> None:
        """List the files.

        Args:
            key: of the config; named in errors.
            folder: the folder.

        Raises:
            ConfigValueError: the folder has no images.
        """
        self._key = key
        self._folder = folder
        try:
            self.files = list_images(folder)
        except ValueError as error:
            raise ConfigValueError(f"{key}: {error}.") from error

    def named(self, name: str) -> Path:
        """Return the file with a name, such as `udnie.jpg`, in the folder or deeper.

        Raises:
            ConfigValueError: there is none, or there are several and none is at the top.
        """
        if self._folder / name in self.files:
            return self._folder / name
        wanted = PurePath(name).name
        return self._only([file for file in self.files if file.name == wanted], wanted)

    def with_stem(self, stem: str) -> Path:
        """Return the file with a name without its extension, such as `udnie`.

        Raises:
            ConfigValueError: there is none, or there are several.
        """
        return self._only([file for file in self.files if file.stem == stem], stem)

    def _only(self, files: list[Path], name: str) -> Path:
        if not files:
            raise ConfigValueError(f"{self._key}: there is no image {name} in {self._folder}.")
        if len(files) > 1:
            raise ConfigValueError(
                f"{self._key}: {' and '.join(map(str, files))} have the same name; keep one."
            )
        return files[0]


@dataclass(frozen=True, eq=False)
class ContentImage:
    """A photo of an evaluation.

    Attributes:
        path: of the file.
        original: RGB, uint8 of shape (3, H, W), at its own size.
        pixels: the same at the size of the evaluation.
    """

    path: Path
    original: Tensor
    pixels: Tensor

    def at(self, height: int, width: int) -> Tensor:
        """Return the photo at a size, RGB in [0, 1], shape (1, 3, H, W)."""
        pixels = self.pixels
        if pixels.shape[1:] != (height, width):
            pixels = resize(self.original, [height, width], antialias=True)
        return pixels[None].float() / 255


def read_content_image(path: Path, short_side: int | None) -> ContentImage:
    """Return a photo, resized to a short side in pixels, or at its own size if that is None.

    Raises:
        ConfigValueError: it is too small to be measured.
        OSError: the file cannot be read.
        ImageError: it cannot be decoded.
    """
    original = read_pixels(path)
    pixels = original if short_side is None else resize(original, [short_side], antialias=True)
    check_size("content_images", path, pixels)
    return ContentImage(path, original, pixels)


def check_size(key: str, path: Path, pixels: Tensor) -> None:
    """Check that an image, shape (3, H, W), is large enough to be measured.

    Raises:
        ConfigValueError: it is not.
    """
    if min(pixels.shape[1:]) < MIN_SIDE:
        raise ConfigValueError(f"{key}: {path} has a side shorter than {MIN_SIDE} pixels.")
