"""Which images a batch's input means: a folder, a file, or a glob, on disk or in a bucket."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stylebeam.pipeline import storage
from stylebeam.pipeline.storage import local
from stylebeam.pipeline.suggestions import nearest
from stylebeam.transforms.images.formats import FORMAT_OF_EXTENSION

# A bracket alone makes no glob: folders are called "Rome [2019]" far more often than sets of
# characters are asked for.
_WILDCARD = re.compile(r"[*?]")
_SPECIAL = re.compile(r"[*?\[]")


def image_extension(path: str) -> str | None:
    """Return the extension of an image's name as it is written there, or None for another file."""
    extension = os.path.splitext(path)[1]
    return extension if extension.lower() in FORMAT_OF_EXTENSION else None


def pattern_of(location: str) -> tuple[str, str]:
    """Return the folder that an input's images are relative to, and the pattern of their paths.

    Args:
        location: a folder, which is searched recursively, a file, or a glob as Beam knows them:
            `*` stays within a folder, `**` does not.
    """
    if _is_glob(location):
        prefix = _SPECIAL.split(location, maxsplit=1)[0]
        return prefix.rpartition("/")[0] or ("/" if prefix.startswith("/") else ""), location
    if image_extension(location) and not os.path.isdir(location):
        return location.rpartition("/")[0], glob.escape(location)
    folder = location.rstrip("/") or "/"
    return folder, storage.everything_in(folder)


def mistake_in(location: str) -> str | None:
    """Say what keeps an input from being listed, if that can be known beforehand."""
    if storage.is_remote(location):
        return None
    needed = (pattern_of(location)[0] or ".") if _is_glob(location) else location
    if not os.path.exists(needed):
        return f"{needed} does not exist{_instead(needed)}"
    if os.path.isfile(needed) and image_extension(needed) is None:
        return f"{needed} is not an image ({', '.join(FORMAT_OF_EXTENSION)})"
    return None


def _instead(path: str) -> str:
    """Return half a sentence that says what is there in the place of a path that is not."""
    folder, name = os.path.split(path)
    if os.path.isdir(folder or ".") and (similar := nearest(name, os.listdir(folder or "."))):
        return similar
    return "" if os.path.isabs(path) else f"; it is looked for in {os.getcwd()}"


def includes(location: str, folder: str) -> bool:
    """Whether images written into a folder might be among those of an input."""
    if storage.is_remote(location) != storage.is_remote(folder):
        return False
    start, pattern = pattern_of(location)
    real_start, real_folder = storage.real_path(start or "."), storage.real_path(folder)
    if "**" in pattern:
        return f"{real_folder}/".startswith(f"{real_start.rstrip('/')}/")
    # The pattern begins with its folder, as it is written or, unless it is a glob, escaped.
    written = start if _is_glob(location) else glob.escape(start)
    rest = pattern[len(written) :].lstrip("/")
    real_pattern = storage.join(glob.escape(real_start), rest)
    images = (storage.join(real_folder, f"image{extension}") for extension in FORMAT_OF_EXTENSION)
    return any(storage.matches(real_pattern, image) for image in images)


class FoundImage(NamedTuple):
    """An image of an input.

    Attributes:
        path: its path or URI.
        relative: path relative to the input's folder.
        version: another when its contents are.
        mistake: why it must not be stylised, a sentence; None if it may.
    """

    path: str
    relative: str
    version: str
    mistake: str | None


def list_images(location: str) -> Iterator[FoundImage]:
    """Yield each image of an input.

    Files without an image's extension are passed over, and so are hidden ones (below a name that
    begins with a dot), which are thumbnails and leftovers of other programs.

    Raises:
        StorageError: a folder cannot be listed.
    """
    folder, pattern = pattern_of(location)
    is_file = not storage.is_remote(location) and os.path.isfile(location)
    # Whoever names a link itself means what it points at.
    top = "" if is_file else storage.real_path(folder or ".")
    for file in [local.describe(location)] if is_file else storage.list_files(folder, pattern):
        relative = file.path[len(folder) :].lstrip("/") if folder else file.path
        parts = relative.split("/")
        hidden = any(part.startswith(".") and part != ".." for part in parts)
        if image_extension(file.path) and not hidden:
            yield FoundImage(file.path, relative, file.version, _mistake_of(file.path, parts, top))


def _mistake_of(path: str, parts: Sequence[str], top: str) -> str | None:
    """Say why an image must not be stylised, if it must not.

    Args:
        path: its path or URI.
        parts: of the path relative to the input's folder.
        top: the input's folder, without links.
    """
    if ".." in parts:
        return f"{path} has a name that leads out of any folder; rename it."
    if not storage.is_remote(path) and os.path.islink(path):
        target = os.path.realpath(path)
        if not target.startswith(f"{top.rstrip('/')}/"):
            return (
                f"{path} is a link to {target}, outside of the input; such links are not followed."
            )
    return None


@dataclass(frozen=True)
class StoredImage:
    """An image of an input, as trainings take them (`training.data.ImageFile`)."""

    path: str

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    def read_bytes(self) -> bytes:
        """Return what it holds.

        Raises:
            StorageError: it cannot be read.
        """
        return storage.read(self.path)

    def __str__(self) -> str:
        return self.path


def stored_images(location: str) -> list[StoredImage]:
    """Return each image of an input.

    Raises:
        StorageError: there is no such place, or a folder cannot be listed.
    """
    if mistake := storage.mistake_in(location) or mistake_in(location):
        raise storage.StorageError(mistake)
    return [StoredImage(image.path) for image in list_images(location)]


def _is_glob(location: str) -> bool:
    """Whether the location holds glob characters and is not itself a local file's name."""
    local = not storage.is_remote(location) and os.path.exists(location)
    return not local and _WILDCARD.search(location) is not None
