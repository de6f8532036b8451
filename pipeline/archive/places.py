"""The places of a run's inputs and outputs: no two outputs in one place, and none over an input."""

import functools
from collections import defaultdict
from typing import NamedTuple

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.inputs import pattern_of


class _Written(NamedTuple):
    """An output, and the input that it is made from."""

    output: str
    source: str


class Places:
    """The inputs and outputs of a run that were found so far.

    Their names alone decide nothing: one folder can be reached by several mounts and links, and
    many volumes do not tell `a.jpg` from `A.jpg`, or an accented letter from a letter and an
    accent. What such volumes ignore is left out of the keys below, and `storage.same_place` decides
    about what has one key.

    Attributes:
        mistakes: a sentence for each input whose output has the place of another one.
    """

    def __init__(self) -> None:
        """Start without any."""
        self.mistakes: list[str] = []
        self._inputs: dict[int, tuple[str, ...]] = defaultdict(tuple)
        self._outputs: dict[int, tuple[_Written, ...]] = defaultdict(tuple)
        self._folders: dict[str, set[str]] = defaultdict(set)
        self._identify = functools.lru_cache(maxsize=4096)(
            lambda folder: storage.folder_identities(folder)[-1]
        )

    def add(self, batch: str, source: str, output: str) -> None:
        """Add an input and its output.

        Args:
            batch: the name of the batch.
            source: the input's path or URI.
            output: the output's path or URI; "" if there is none.

        Raises:
            StorageError: it cannot be found out whether two outputs are one file.
        """
        place = storage.identity(source, self._identify)
        self._folders[batch].add(place.rpartition("/")[0])
        self._inputs[_key(place)] += (source,)
        if target := storage.link_target(source):
            self._inputs[_key(storage.identity(target, self._identify))] += (target,)
        if not output:
            return
        key = _key(storage.identity(output, self._identify))
        for other in self._outputs[key]:
            if storage.same_place(other.output, output):
                self.mistakes.append(_both(batch, source, output, other))
                return
        self._outputs[key] += (_Written(output, source),)

    def overwritten(self) -> list[str]:
        """Return a sentence for each output that would be written over an input.

        Raises:
            StorageError: it cannot be found out whether an output and an input are one file.
        """
        pairs = (
            (written, found)
            for key in self._outputs.keys() & self._inputs.keys()
            for written in self._outputs[key]
            for found in self._inputs[key]
        )
        return sorted(
            f"{written.source} would be written over {written.output}, which is an input"
            for written, found in pairs
            if storage.same_place(written.output, found)
        )

    def folders_read(self, batch: str, location: str) -> frozenset[str]:
        """Return the identities of the folders where inputs were found, if their input goes deeper.

        Args:
            batch: the name of the batch whose inputs are meant.
            location: the batch's input.
        """
        recursive = "**" in pattern_of(location)[1]
        return frozenset(self._folders[batch]) if recursive else frozenset()


def _key(place: str) -> int:
    # A hash, since an archive has millions of places.
    return hash(storage.folded(place))


def _both(batch: str, source: str, output: str, other: _Written) -> str:
    sentence = f"batch {batch}: {source} and {other.source} would both be written to {output}"
    if output == other.output:
        return sentence
    return f"{sentence}, which is the same file as {other.output} there"
