"""Lists the images of a batch's input: a folder, a file or a glob; a path or URI."""

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.exclusion import excludes
from stylebeam.pipeline.archive.passed_over import LINKS_TO_FOLDERS, PassedOver
from stylebeam.pipeline.suggestions import nearest
from stylebeam.transforms.images.formats import FORMAT_OF_EXTENSION

# A bracket alone does not make a glob: folders named "Rome [2019]" are far more common than globs
# with sets of characters.
_WILDCARD = re.compile(r"[*?]")
_SPECIAL = re.compile(r"[*?\[]")

RECORD_FOLDER = "_stylebeam"
"""The folder beside a run's outputs that holds its record; not a part of an input."""

# Folders of thumbnails and of deleted files that are not hidden by their names, in lower case.
_SYSTEM_FOLDERS = {"@eadir", "#recycle", "$recycle.bin", "recycler", "system volume information"}


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


def missing_from_bucket(location: str) -> str | None:
    """Say that a folder or file of a remote storage does not exist; None if it exists.

    Raises:
        StorageError: it cannot be listed.
    """
    folder, pattern = pattern_of(location)
    is_whole_bucket = "/" not in location.partition("://")[2]
    if is_whole_bucket or _is_glob(location):
        return None
    if any(True for _ in storage.list_files(folder, pattern)):
        return None
    return f"{location} does not exist: no object has a name that starts so"


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
    """An image of an input, or a folder of an input that cannot be listed.

    Attributes:
        path: path or URI.
        relative: path relative to the input's folder.
        version: changes when the contents change.
        mistake: why the image must not be stylized, a sentence; None if it may be.
        is_folder: whether it is a folder; `mistake` says why it cannot be listed.
    """

    path: str
    relative: str
    version: str
    mistake: str | None
    is_folder: bool = False


def list_images(
    location: str, exclude: Sequence[str] = (), passed_over: PassedOver | None = None
) -> Iterator[FoundImage]:
    """Yield each image of an input, and then each folder that cannot be listed.

    Files without the extension of an image are passed over. So are hidden files and files in hidden
    folders (names that start with a dot): these are thumbnails and leftovers of other programs.
    Network drives and other systems keep such things in folders of other names, which are passed
    over too, as are links to folders.

    Args:
        location: a folder, a file or a glob; see `pattern_of`.
        exclude: globs, relative to the input, of files and folders to leave out.
        passed_over: counts what is passed over.

    Raises:
        StorageError: the input's own folder cannot be listed.
    """
    folder, pattern = pattern_of(location)
    # A listing finds a file of a remote storage, too, and says what is wrong if it cannot.
    named = None if storage.is_remote(location) else storage.file_at(location)
    # If the location names a link itself, the link's target is what the user wants.
    top = "" if named else storage.real_path(folder or ".")
    choice = _Choice(exclude, PassedOver() if passed_over is None else passed_over)
    closed: list[FoundImage] = []

    def enter(path: str, is_link: bool) -> bool:
        return choice.enters(relative_to(folder, path), is_link)

    def unreadable(path: str, reason: str) -> None:
        closed.append(FoundImage(path, relative_to(folder, path), "", reason, is_folder=True))

    files = [named] if named else storage.walk(folder, pattern, enter, unreadable)
    for file in files:
        relative = relative_to(folder, file.path)
        if choice.takes(relative):
            mistake = _mistake_of(file.path, relative.split("/"), top)
            yield FoundImage(file.path, relative, file.version, mistake)
    yield from closed


def relative_to(folder: str, path: str) -> str:
    """Return the path of an image relative to its input's folder, as `pattern_of` returns it."""
    return path.removeprefix(folder).lstrip("/") if folder else path


class _Choice:
    """Chooses what of an input is taken, and counts what is passed over."""

    def __init__(self, exclude: Sequence[str], passed_over: PassedOver) -> None:
        self._exclude = exclude
        self._passed_over = passed_over
        self._entered: dict[str, bool] = {"": True}

    def enters(self, folder: str, is_link: bool = False) -> bool:
        """Return whether the files of a folder are taken; it is counted the first time."""
        if folder not in self._entered:
            above = folder.rpartition("/")[0]
            self._entered[folder] = self.enters(above) and self._decide(folder, is_link)
        return self._entered[folder]

    def takes(self, relative: str) -> bool:
        """Return whether a file is an image that is taken; another one is counted."""
        above, _, name = relative.rpartition("/")
        # Some tools mark a folder of a bucket with an empty object, whose name ends in a slash.
        if not name or _is_hidden(name) or not self.enters(above):
            return False
        if excludes(self._exclude, relative):
            return False
        if image_extension(name):
            return True
        self._passed_over.add_file(name)
        return False

    def _decide(self, folder: str, is_link: bool) -> bool:
        name = folder.rpartition("/")[2]
        if _is_hidden(name) or name == RECORD_FOLDER or excludes(self._exclude, folder, True):
            return False
        if name.lower() in _SYSTEM_FOLDERS:
            self._passed_over.folders[name] += 1
            return False
        if is_link:
            self._passed_over.folders[LINKS_TO_FOLDERS] += 1
        return not is_link


def _is_hidden(name: str) -> bool:
    return name.startswith(".") and name not in (".", "..")


def _mistake_of(path: str, parts: Sequence[str], top: str) -> str | None:
    """Say why an image must not be stylized; None if it may be.

    Args:
        path: its path or URI.
        parts: the parts of its path relative to the input's folder.
        top: the input's folder, with all links followed.
    """
    if ".." in parts:
        return f"{path} has a name that leads out of any folder; rename it."
    if "." in parts:
        return f"{path} has a folder named . in its name, which no disk can have; rename it."
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


def stored_images(location: str, note: Callable[[str], None]) -> list[StoredImage]:
    """Return each image of an input.

    Args:
        location: a folder, a file or a glob; see `pattern_of`.
        note: receives a sentence for each folder that cannot be listed and is left out.

    Raises:
        StorageError: the location does not exist, or cannot be listed.
    """
    if mistake := storage.mistake_in(location) or mistake_in(location):
        raise storage.StorageError(mistake)
    found = []
    for image in list_images(location):
        if image.is_folder:
            note(f"{image.mistake} It is left out.")
        else:
            found.append(StoredImage(image.path))
    return found


def _is_glob(location: str) -> bool:
    """Return whether a location has wildcards and is not the name of an existing local file."""
    exists = not storage.is_remote(location) and os.path.exists(location)
    return not exists and _WILDCARD.search(location) is not None
