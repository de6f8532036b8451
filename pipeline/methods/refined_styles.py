"""Styles that are refined on a few photos, and the cache of their vectors on this machine."""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stylebeam.files import write_whole
from stylebeam.pipeline import storage
from stylebeam.pipeline.methods.contract import MethodError
from stylebeam.pipeline.methods.style_files import KnownFile, read_painting

if TYPE_CHECKING:
    from torch import Tensor

    from stylebeam.transforms.checkpoints import Checkpoint

_log = logging.getLogger(__name__)


def refined_vector(
    key: Sequence[object],
    checkpoint: "Checkpoint",
    vector: "Tensor",
    painting: "Tensor",
    photos: Sequence[KnownFile],
    seconds: float,
) -> "Tensor":
    """Return a style's vector refined on photos, from the cache if it has been computed before.

    Args:
        key: what the result depends on, as plain values.
        checkpoint: of the network.
        vector: to start from, shape (style_size,).
        painting: RGB, uint8 or uint16 of shape (3, H, W).
        photos: image files, at least one that can be decoded.
        seconds: how long, about, on two CPU cores.

    Raises:
        MethodError: no photo can be decoded, or one has changed since it was listed.
    """
    import torch  # noqa: PLC0415

    from stylebeam.transforms.training.refinement import (  # noqa: PLC0415
        STEPS_A_SECOND,
        refine_style,
    )

    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    file = _cache_folder() / f"{digest}.json"
    if file.exists():
        return torch.tensor(json.loads(file.read_text()))
    steps = max(1, round(seconds * STEPS_A_SECOND))
    refined = refine_style(checkpoint, vector, painting, _decodable(photos), steps)
    try:
        write_whole(file, json.dumps(refined.tolist()).encode())
    except OSError as error:
        _log.warning("The refined style cannot be kept for the next run: %s", error)
    return refined


def known_photo(location: str) -> KnownFile:
    """Return a photo that a style is refined on.

    Raises:
        MethodError: it cannot be read.
    """
    try:
        data = storage.read(location)
    except storage.StorageError as error:
        raise MethodError(str(error)) from error
    return KnownFile(location, hashlib.sha256(data).hexdigest())


def _decodable(photos: Sequence[KnownFile]) -> "list[Tensor]":
    """Return the photos that can be decoded: one that cannot will have its own outcome."""
    images, mistakes = [], []
    for photo in photos:
        try:
            images.append(read_painting(photo))
        except MethodError as error:
            mistakes.append(str(error))
    if not images:
        raise MethodError(
            "refine needs a photo that can be decoded. "
            + (" ".join(mistakes) or "The input has none.")
        )
    return images


def _cache_folder() -> Path:
    """Return the folder of the cache, by the XDG Base Directory Specification."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "stylebeam" / "refined_styles"
