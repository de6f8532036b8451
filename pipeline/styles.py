"""Finds the checkpoint that a style's name in a config stands for."""

import difflib

from pipeline import storage
from transforms.checkpoints import (
    Checkpoint,
    CheckpointError,
    parse_checkpoint,
    shipped_styles,
    weights_digest,
)


class StyleError(ValueError):
    """A style that is not there or cannot be used; the message says why."""


def locate_style(style: str) -> str:
    """Return the path or URI of a style's checkpoint.

    Args:
        style: a shipped style's name, or the path or URI of a .safetensors checkpoint.

    Raises:
        StyleError: it is neither.
    """
    shipped = shipped_styles()
    if style in shipped:
        return str(shipped[style])
    if style.endswith(".safetensors"):
        return style
    similar = difflib.get_close_matches(style, shipped, n=1)
    raise StyleError(
        f"there is no shipped style {style!r}"
        + (f"; did you mean {similar[0]}?" if similar else f"; there is {', '.join(shipped)}.")
        + " (A checkpoint of your own is named by its path, ending in .safetensors.)"
    )


def read_style(location: str) -> tuple[Checkpoint, str]:
    """Return the checkpoint at a path or URI, and the digest of its weights.

    Raises:
        StyleError: it cannot be read, or is not a checkpoint of stylebeam.
    """
    try:
        data = storage.read(location)
        return parse_checkpoint(data), weights_digest(data)
    except storage.StorageError as error:
        raise StyleError(str(error)) from error
    except CheckpointError as error:
        raise StyleError(f"{location}: {error}") from error
