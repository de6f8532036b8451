"""Finds and reads the checkpoint that a style's name in a config stands for."""

from pipeline import storage
from pipeline.suggestions import nearest
from transforms.checkpoints import (
    Checkpoint,
    CheckpointError,
    parse_checkpoint,
    shipped_styles,
    weights_digest,
)


class StyleError(ValueError):
    """A style that is not there or cannot be used; the message says why."""


def read_style(style: str) -> tuple[Checkpoint, str]:
    """Return a style's checkpoint, and the digest of its weights.

    Args:
        style: a shipped style's name, or the path or URI of a .safetensors checkpoint.

    Raises:
        StyleError: there is no such style, or its checkpoint cannot be read or used.
    """
    try:
        data = storage.read(_locate(style))
        checkpoint = parse_checkpoint(data)
        # Tensors that do not fit are found here, rather than on a worker in the midst of a run.
        checkpoint.build()
        return checkpoint, weights_digest(data)
    except storage.StorageError as error:
        raise StyleError(str(error)) from error
    except CheckpointError as error:
        raise StyleError(f"{style}: {error}") from error


def _locate(style: str) -> str:
    shipped = shipped_styles()
    if style in shipped:
        return str(shipped[style])
    if style.endswith(".safetensors"):
        return style
    raise StyleError(
        f"there is no shipped style {style!r}"
        + (nearest(style, shipped) or f"; there is {', '.join(shipped)}.")
        + " (A checkpoint of your own is named by its path, ending in .safetensors.)"
    )
