"""Finds the checkpoint and the styles in it that a config asks for."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from stylebeam.pipeline import storage
from stylebeam.pipeline.suggestions import nearest
from stylebeam.transforms.checkpoints import (
    Checkpoint,
    CheckpointError,
    parse_checkpoint,
    shipped_checkpoints,
    weights_digest,
)
from stylebeam.transforms.inference.tiling import Statistics

_EXTENSION = ".safetensors"


class StyleError(ValueError):
    """A style that is not there or cannot be used; the message says why."""


class Choice(NamedTuple):
    """A checkpoint, known by its contents, and what is to be done with it.

    Attributes:
        checkpoint: its path or URI.
        weights: the SHA-256 of its contents, in hexadecimal.
        styles: names and the parts that they have in the result, of the sum 1; in order of name,
            and none without a part. Empty for super-resolution.
        strength: from 0, the photo, to 1, the stylised image.
        processing_size: the short side at which larger photos are stylised, in pixels; None for
            their own.
        statistics: by which features are normalised.
    """

    checkpoint: str
    weights: str
    styles: tuple[tuple[str, float], ...] = ()
    strength: float = 1.0
    processing_size: int | None = None
    statistics: Statistics = "exact"

    @property
    def batch_size(self) -> int:
        """How many photos are stylised at once: an image by itself keeps all cores busy."""
        return 1

    @property
    def short_side(self) -> int | None:
        """The short side in pixels at which larger photos are worked on; None for their own."""
        return self.processing_size

    def worked_on_at(self, short_side: int) -> "Choice":
        """Return this choice with another short side, in pixels."""
        return self._replace(processing_size=short_side)

    @property
    def identity(self) -> dict[str, Any]:
        """What decides pixels, as plain values: not where the checkpoint lies."""
        decisive = {"weights": self.weights, "styles": self.styles, "strength": self.strength}
        # Only where they are used: results from before there were these stay up to date.
        for name in ("processing_size", "statistics"):
            if (value := getattr(self, name)) != self._field_defaults[name]:
                decisive[name] = value
        return decisive


def choose(styles: Mapping[str, float], checkpoint: str | None = None) -> Choice:
    """Return the checkpoint that holds some styles, and their parts in the result.

    Args:
        styles: parts by name, from 0 up, not all of them 0. In the place of a name, the path or URI
            of a .safetensors checkpoint stands for the only style in it.
        checkpoint: the path or URI of a checkpoint, to look for the names there; by default they
            are those of shipped styles.

    Raises:
        StyleError: there is no such style, or its checkpoint cannot be read or used.
    """
    total = sum(styles.values())
    if not total:
        raise StyleError("a style needs a part above 0, as in {starry_night: 0.5, udnie: 0.5}")
    location = _locate(styles, checkpoint)
    held, weights = read_checkpoint(location)
    if not held.styles:
        raise StyleError(f"{location} is of the network {held.network}, which has no styles")
    if list(styles) == [location]:
        if len(held.styles) > 1:
            raise StyleError(
                f"{location} holds {len(held.styles)} styles: name it as checkpoint, and as style"
                f" one of {', '.join(held.styles)}, or several with their parts"
            )
        styles, total = dict.fromkeys(held.styles, 1.0), 1.0
    for name in styles:
        if name not in held.styles:
            raise StyleError(
                f"{location} holds no style {name!r}"
                + (nearest(name, held.styles) or f"; it holds {', '.join(held.styles)}.")
            )
    parts = tuple((name, part / total) for name, part in sorted(styles.items()) if part)
    return Choice(location, weights, parts)


def choose_super_resolution(checkpoint: str) -> Choice:
    """Return the choice of a super-resolution network, which has no styles.

    Args:
        checkpoint: the name of a shipped one, or the path or URI of a .safetensors checkpoint.

    Raises:
        StyleError: it is not there, cannot be read or used, or is of another network.
    """
    location = _locate_super_resolution(checkpoint)
    held, weights = read_checkpoint(location)
    if held.network != "super_resolution":
        raise StyleError(
            f"{checkpoint} is of the network {held.network}, which does not enlarge images"
        )
    return Choice(location, weights)


def read_checkpoint(location: str) -> tuple[Checkpoint, str]:
    """Return the checkpoint at a path or URI, and the digest of its contents.

    Raises:
        StyleError: it cannot be read or used.
    """
    try:
        data = storage.read(location)
        checkpoint = parse_checkpoint(data)
        # Tensors that do not fit are found here, rather than on a worker in the midst of a run.
        checkpoint.build()
        return checkpoint, weights_digest(data)
    except storage.StorageError as error:
        raise StyleError(str(error)) from error
    except CheckpointError as error:
        raise StyleError(f"{location}: {error}") from error


def _locate(names: Collection[str], checkpoint: str | None) -> str:
    if checkpoint is not None:
        return checkpoint
    if len(names) == 1:
        [name] = names
        if name.endswith(_EXTENSION):
            return name
    shipped = shipped_checkpoints()
    known = {style for styles in shipped.values() for style in styles}
    for name in names:
        if name not in known:
            raise _not_shipped("style", name, known)
    for path, styles in shipped.items():
        if all(name in styles for name in names):
            return str(path)
    raise StyleError(
        f"{' and '.join(names)} are styles of different networks, and cannot be blended"
    )


def _locate_super_resolution(checkpoint: str) -> str:
    if checkpoint.endswith(_EXTENSION):
        return checkpoint
    shipped = {path.stem: path for path, styles in shipped_checkpoints().items() if not styles}
    if checkpoint not in shipped:
        raise _not_shipped("super-resolution network", checkpoint, shipped)
    return str(shipped[checkpoint])


def _not_shipped(kind: str, name: str, known: Collection[str]) -> StyleError:
    return StyleError(
        f"there is no shipped {kind} {name!r}"
        + (nearest(name, known) or f"; there is {', '.join(sorted(known))}.")
        + f" (A checkpoint of your own is named by its path, ending in {_EXTENSION}.)"
    )
