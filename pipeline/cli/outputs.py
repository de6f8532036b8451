"""Writes the single images that commands make, and never over an input."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from stylebeam.pipeline import storage
from stylebeam.pipeline.config.file import ConfigError
from stylebeam.pipeline.terminal import say
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.formats import FORMAT_OF_EXTENSION
from stylebeam.transforms.images.photo import Photo


def format_of(path: str) -> str | None:
    """Return the image format of a file name's extension, or None if there is none."""
    return FORMAT_OF_EXTENSION.get(Path(path).suffix.lower())


def check_output(output: str, photos: Iterable[str]) -> None:
    """Check that an output has an image's extension and is not one of the inputs.

    Args:
        output: path or URI.
        photos: paths or URIs of the inputs.

    Raises:
        ConfigError: it has no such extension, or is an input.
    """
    if format_of(output) is None:
        extensions = ", ".join(FORMAT_OF_EXTENSION)
        raise ConfigError([f"{output}: the name must end in one of {extensions}"])
    for photo in photos:
        if any(storage.same_place(output, each) for each in (photo, storage.real_path(photo))):
            raise ConfigError([f"{output} is the input; inputs are never overwritten"])


def write_sheet(sheet: Image.Image, output: str) -> None:
    """Write a contact sheet in the format of its extension.

    Raises:
        StorageError: the file cannot be written.
    """
    image_format = format_of(output) or "png"
    photo = Photo(pil_to_tensor(sheet))
    storage.write(output, encode(photo, image_format), f"image/{image_format}")
    say(f"The contact sheet is in {output}.")
