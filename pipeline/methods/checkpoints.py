"""Finds the checkpoint of a style, by name or path, and reads it."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from stylebeam.pipeline import storage
from stylebeam.pipeline.methods.contract import MethodError
from stylebeam.pipeline.suggestions import nearest
from stylebeam.transforms.checkpoints import (
    MOST_BYTES,
    Checkpoint,
    CheckpointError,
    parse_checkpoint,
    shipped_checkpoints,
    weights_digest,
)
from stylebeam.transforms.networks.super_resolution import SuperResolutionNetwork

EXTENSION = ".safetensors"


class CheckpointFile(NamedTuple):
    """A checkpoint file, known by its contents.

    Attributes:
        location: its path or URI.
        digest: the SHA-256 of its contents, in hexadecimal.
    """

    location: str
    digest: str


def find_styles(
    styles: Mapping[str, float], checkpoint: str | None = None
) -> tuple[CheckpointFile, tuple[tuple[str, float], ...]]:
    """Return the checkpoint that holds some styles, and the styles with their weights.

    Args:
        styles: a weight of at least 0 for each name, not all of them 0. Instead of a name, the path
            or URI of a .safetensors checkpoint means the only style in it.
        checkpoint: the path or URI of the checkpoint that holds the names; by default the names
            are those of shipped styles.

    Returns:
        The checkpoint; and names and weights, sorted by name, with the sum 1 and none of weight 0.

    Raises:
        MethodError: there is no such style, or its checkpoint cannot be read or used.
    """
    total = sum(styles.values())
    if not total:
        raise MethodError("a style needs a part above 0, as in {starry_night: 0.5, udnie: 0.5}")
    location = _locate(styles, checkpoint)
    held, digest = read_checkpoint(location)
    if not held.styles:
        raise MethodError(f"{location} is of the network {held.network}, which has no styles")
    if list(styles) == [location]:
        if len(held.styles) > 1:
            raise MethodError(
                f"{location} holds {len(held.styles)} styles: give it as checkpoint, and as style"
                f" one of {', '.join(held.styles)}, or several with their parts"
            )
        styles, total = dict.fromkeys(held.styles, 1.0), 1.0
    check_names(held, styles, location)
    parts = tuple((name, part / total) for name, part in sorted(styles.items()) if part)
    return CheckpointFile(location, digest), parts


def check_names(checkpoint: Checkpoint, names: Collection[str], location: str) -> None:
    """Check that a checkpoint holds styles of these names.

    Args:
        checkpoint: the checkpoint.
        names: of the styles.
        location: of the checkpoint, for the error.

    Raises:
        MethodError: it does not hold one of them.
    """
    for name in names:
        if name not in checkpoint.styles:
            raise MethodError(
                f"{location} holds no style {name!r}"
                + (
                    nearest(name, checkpoint.styles)
                    or f"; it holds {', '.join(checkpoint.styles)}."
                )
            )


def find_super_resolution(checkpoint: str) -> CheckpointFile:
    """Return the checkpoint of a super-resolution network.

    Args:
        checkpoint: the name of a shipped one, or the path or URI of a .safetensors checkpoint.

    Raises:
        MethodError: it cannot be found, read or used, or is of another network.
    """
    location = _locate_super_resolution(checkpoint)
    held, digest = read_checkpoint(location)
    if held.network != "super_resolution":
        raise MethodError(
            f"{checkpoint} is of the network {held.network}, which does not enlarge images"
        )
    return CheckpointFile(location, digest)


def enlargement(file: CheckpointFile) -> int:
    """Return by what the super-resolution network in a checkpoint enlarges each side.

    Raises:
        MethodError: the file cannot be read, or has other contents now.
    """
    network = read_unchanged(file).build()
    assert isinstance(network, SuperResolutionNetwork)
    return network.factor


def read_checkpoint(location: str) -> tuple[Checkpoint, str]:
    """Return the checkpoint at a path or URI, and the SHA-256 of its contents in hexadecimal.

    Raises:
        MethodError: it cannot be read or used.
    """
    try:
        data = storage.read(location, MOST_BYTES)
        checkpoint = parse_checkpoint(data)
        # Tensors that do not fit are found here rather than on a worker in the middle of a run.
        checkpoint.build()
        return checkpoint, weights_digest(data)
    except storage.StorageError as error:
        raise MethodError(str(error)) from error
    except CheckpointError as error:
        raise MethodError(f"{location}: {error}") from error


def read_unchanged(file: CheckpointFile) -> Checkpoint:
    """Return the checkpoint in a file, which must still be what it was.

    Raises:
        MethodError: it cannot be read, or has other contents now.
    """
    checkpoint, digest = read_checkpoint(file.location)
    if digest != file.digest:
        raise MethodError(
            f"{file.location} is not the checkpoint that the run was started with: here the file"
            " has other contents. Start the run again."
        )
    return checkpoint


def shipped_location(name: str) -> str:
    """Return the path of a shipped checkpoint, by the name of its file."""
    return next(str(path) for path in shipped_checkpoints() if path.stem == name)


def shipped_styles() -> list[str]:
    """Return the names of all shipped styles, sorted."""
    return sorted({style for styles in shipped_checkpoints().values() for style in styles})


def shipped_super_resolution() -> list[str]:
    """Return the names of the shipped super-resolution networks, sorted."""
    return sorted(path.stem for path, styles in shipped_checkpoints().items() if not styles)


def _locate(names: Collection[str], checkpoint: str | None) -> str:
    if checkpoint is not None:
        return checkpoint
    if len(names) == 1:
        [name] = names
        if name.endswith(EXTENSION):
            return name
    known = shipped_styles()
    for name in names:
        if name not in known:
            raise _not_shipped("style", name, known)
    for path, styles in shipped_checkpoints().items():
        if all(name in styles for name in names):
            return str(path)
    raise MethodError(
        f"{' and '.join(names)} are styles of different networks, and cannot be blended"
    )


def _locate_super_resolution(checkpoint: str) -> str:
    if checkpoint.endswith(EXTENSION):
        return checkpoint
    shipped = {path.stem: path for path, styles in shipped_checkpoints().items() if not styles}
    if checkpoint not in shipped:
        raise _not_shipped("super-resolution network", checkpoint, shipped)
    return str(shipped[checkpoint])


def _not_shipped(kind: str, name: str, known: Collection[str]) -> MethodError:
    return MethodError(
        f"there is no shipped {kind} {name!r}"
        + (nearest(name, known) or f"; there is {', '.join(sorted(known))}.")
        + f" (A checkpoint of your own is named by its path, ending in {EXTENSION}.)"
    )
