"""Makes the photos of the archive: good ones of many kinds, broken ones, and poisoned ones."""

import io
import random
from typing import NamedTuple

from PIL import Image

from benchmarks.soak.poisons import size_of

_EXTENSIONS = (".jpg", ".JPG", ".jpeg", ".png", ".webp", ".tif", ".bmp", ".gif")
_MODES = {".png": ("RGB", "RGBA", "L", "I;16"), ".webp": ("RGB", "RGBA"), ".gif": ("RGB",)}
_FOLDERS = (
    "", "2024", "2024/Rome [2019]", "a b", "Ünïcödé", "-rf", "%41#?", "日本", "deep/er/and/deeper"
)  # fmt: skip
_STEMS = (
    "photo", "two words", "'quoted\"", "$HOME", "émoji 🐈", "-", "#1", "a%2Fb", "x" * 150, "*",
    "\u202eright to left", "tab\tin it", "semi;colon & more", "~", "[a-z]",
)  # fmt: skip
# Not every storage holds these: line breaks, and bytes that are not UTF-8.
_STEMS_ON_DISKS = ("line\nbreak", "latin1 \udce9", "\x1b[31mred")


class Photo(NamedTuple):
    """A photo of the archive.

    Attributes:
        name: its path relative to the input.
        data: the file's contents.
        size: width and height in pixels.
        fault: `broken` or a key of `POISONS`; None for a good photo.
    """

    name: str
    data: bytes
    size: tuple[int, int]
    fault: str | None = None


def odd_name(generator: random.Random, number: int, extension: str, on_disk: bool) -> str:
    """Return a path whose stem no other number has, whatever its extension."""
    folder = generator.choice(_FOLDERS)
    stem = generator.choice(_STEMS + _STEMS_ON_DISKS * on_disk)
    return f"{folder}/{stem} {number}{extension}".lstrip("/")


def good_photo(generator: random.Random, number: int, on_disk: bool) -> Photo:
    """Return a photo of a random format, mode, size and name."""
    extension = generator.choice(_EXTENSIONS)
    mode = generator.choice(_MODES.get(extension.lower(), ("RGB", "L")))
    size = (generator.randint(32, 200), generator.randint(32, 200))
    data = _encoded(_noise(generator, size, mode), extension)
    return Photo(odd_name(generator, number, extension, on_disk), data, size)


def broken_photo(generator: random.Random, number: int, on_disk: bool) -> Photo:
    """Return a file that has the name of a photo and cannot be decoded."""
    size = (64, 48)
    data = _encoded(_noise(generator, size, "RGB"), ".jpg")
    broken = (b"", b"This is no image.", data[: len(data) // 2], data[:3] + b"\0" * 200)
    name = odd_name(generator, number, ".jpg", on_disk)
    return Photo(name, generator.choice(broken), size, "broken")


def poisoned_photo(generator: random.Random, number: int, kind: str, on_disk: bool) -> Photo:
    """Return a photo that harms the process that opens it; `kind` is a key of POISONS."""
    extension = generator.choice((".jpg", ".png"))
    size = size_of(kind)
    data = _encoded(_noise(generator, size, "RGB"), extension)
    return Photo(odd_name(generator, number, extension, on_disk), data, size, kind)


def _noise(generator: random.Random, size: tuple[int, int], mode: str) -> Image.Image:
    """Return an image of colored patches, which differs from all others."""
    coarse = (max(2, size[0] // 8), max(2, size[1] // 8))
    if mode == "I;16":
        return Image.frombytes(mode, size, generator.randbytes(2 * size[0] * size[1]))
    channels = len(Image.new(mode, (1, 1)).getbands())
    patches = Image.frombytes(mode, coarse, generator.randbytes(channels * coarse[0] * coarse[1]))
    return patches.resize(size, Image.Resampling.BICUBIC)


def _encoded(image: Image.Image, extension: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, Image.registered_extensions()[extension.lower()])
    return buffer.getvalue()
