"""Lists the images of a batch's input: a folder, a file or a glob; a path or URI."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stylebeam.pipeline import storage
from stylebeam.pipeline.suggestions import nearest
from stylebeam.transforms.images.formats import FORMAT_OF_EXTENSION

# A bracket alone does not make a glob: folders named "Rome [2019]" are far more common than globs
# with sets of characters.
_WILDCARD = re.compile(r"[*?]")
_SPECIAL = re.compile(r"[*?\[]")


def image_extension(path: str) -> str | None:
    """Return the extension of an image's name as it is spelled there, or None for another file."""
    extension = os.path.splitext(path)[1]
    return extension if extension.lower() in FORMAT_OF_EXTENSION else None


def pattern_of(location: str) -> tuple[str, str]:
    """Return the folder that an input's images are relative to, and the pattern of their paths.

    Args:
        location: a folder, which is searched recursively, a file, or a glob as Beam defines it:
            `*` stays in a folder, `**` does not.
    """
    if _is_glob(location):
        prefix = _SPECIAL.split(location, maxsplit=1)[0]
        return prefix.rpartition("/")[0] or ("/" if prefix.startswith("/") else ""), location
    if image_extension(location) and not os.path.isdir(location):
        return location.rpartition("/")[0], glob.escape(location)
    folder = location.rstrip("/") or "/"
    return folder, storage.everything_in(folder)


def mistake_in(location: str) -> str | None:
    """Say why an input cannot be listed, if that is known without a request to a storage."""
    if storage.is_remote(location):
        return None
    needed = (pattern_of(location)[0] or ".") if _is_glob(location) else location
    if not os.path.exists(needed):
        return f"{needed} does not exist{_instead(needed)}"
    if os.path.isfile(needed) and image_extension(needed) is None:
        return f"{needed} is not an image ({', '.join(FORMAT_OF_EXTENSION)})"
    return None


def _instead(path: str) -> str:
    """Return the rest of a sentence about a missing path: a similar name, or where it would be."""
    folder, name = os.path.split(path)
    if os.path.isdir(folder or ".") and (similar := nearest(name, os.listdir(folder or "."))):
        return similar
    return "" if os.path.isabs(path) else f"; it is looked for in {os.getcwd()}"


def includes(location: str, folder: str) -> bool:
    """Return whether images written to a folder could be among the images of an input."""
    if storage.is_remote(location) != storage.is_remote(folder):
        return False
    start, pattern = pattern_of(location)
    start_folder = storage.folder_identities(start or ".")[-1]
    above = storage.folder_identities(folder)
    if start_folder not in above:
        return False
    if "**" in pattern:
        return True
    names = storage.real_path(folder).rstrip("/").split("/")
    below = names[len(names) - (len(above) - 1 - above.index(start_folder)) :]
    # The pattern starts with its folder: as it is spelled in a glob, escaped otherwise.
    spelled = start if _is_glob(location) else glob.escape(start)
    rest = pattern[len(spelled) :].lstrip("/")
    images = ("/".join([*below, f"image{extension}"]) for extension in FORMAT_OF_EXTENSION)
    return any(storage.matches(rest, image) for image in images)


class FoundImage(NamedTuple):
    """An image of an input.

    Attributes:
        path: path or URI.
        relative: path relative to the input's folder.
        version: changes when the contents change.
        mistake: why the image must not be stylized, a sentence; None if it may be.
    """

    path: str
    relative: str
    version: str
    mistake: str | None


def list_images(location: str) -> Iterator[FoundImage]:
    """Yield each image of an input.

    Files without the extension of an image are skipped. So are hidden files and files in hidden
    folders (names that start with a dot): these are thumbnails and leftovers of other programs.

    Raises:
        StorageError: a folder cannot be listed.
    """
    folder, pattern = pattern_of(location)
    # A listing finds a file of a remote storage, too, and says what is wrong if it cannot.
    named = None if storage.is_remote(location) else storage.file_at(location)
    # If the location names a link itself, the link's target is what the user wants.
    top = "" if named else storage.real_path(folder or ".")
    for file in [named] if named else storage.list_files(folder, pattern):
        relative = file.path[len(folder) :].lstrip("/") if folder else file.path
        parts = relative.split("/")
        hidden = any(part.startswith(".") and part != ".." for part in parts)
        if image_extension(file.path) and not hidden:
            yield FoundImage(file.path, relative, file.version, _mistake_of(file.path, parts, top))


def _mistake_of(path: str, parts: Sequence[str], top: str) -> str | None:
    """Say why an image must not be stylized; None if it may be.

    Args:
        path: its path or URI.
        parts: the parts of its path relative to the input's folder.
        top: the input's folder, with all links followed.
    """
    if ".." in parts:
        return f"{path} has a name that leads out of any folder; rename it."
    target = storage.link_target(path)
    if target is not None and not target.startswith(f"{top.rstrip('/')}/"):
        return f"{path} is a link to {target}, outside of the input; such links are not followed."
    return None


@dataclass(frozen=True)
class StoredImage:
    """An image of an input in the form that trainings need (`training.data.ImageFile`)."""

    path: str

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    def read_bytes(self) -> bytes:
        """Return the contents of the file.

        Raises:
            StorageError: it cannot be read.
        """
        return storage.read(self.path)

    def __str__(self) -> str:
        return self.path


def stored_images(location: str) -> list[StoredImage]:
    """Return each image of an input.

    Raises:
        StorageError: the location does not exist, or a folder cannot be listed.
    """
    if mistake := storage.mistake_in(location) or mistake_in(location):
        raise storage.StorageError(mistake)
    return [StoredImage(image.path) for image in list_images(location)]


def _is_glob(location: str) -> bool:
    """Return whether a location has wildcards and is not the name of an existing local file."""
    exists = not storage.is_remote(location) and os.path.exists(location)
    return not exists and _WILDCARD.search(location) is not None
