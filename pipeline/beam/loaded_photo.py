"""The values between reading, stylizing and writing: loaded photos, and photos that failed."""

from dataclasses import dataclass
from typing import Any

from stylebeam.transforms.images.photo import Photo


@dataclass(frozen=True)
class LoadedPhoto:
    """A decoded photo, before or after its method.

    Attributes:
        key: what it belongs to: a task, or the key of a user's own pipeline.
        recipe: the digest of its recipe.
        photo: the pixels and metadata.
        seconds: time spent on this photo so far.
    """

    key: Any
    recipe: str
    photo: Photo
    seconds: float = 0.0


@dataclass(frozen=True)
class FailedPhoto:
    """A photo that could not be read, decoded, stylized or written.

    Attributes:
        key: what it belongs to.
        reason: why it failed, a sentence.
        seconds: time spent on this photo.
        size: width and height in pixels; None if it was not decoded.
    """

    key: Any
    reason: str
    seconds: float = 0.0
    size: tuple[int, int] | None = None
