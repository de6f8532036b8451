"""The engine: the interface of every loaded method. Photos in, pictures out."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from stylebeam.transforms.images.photo import Photo


class Canceled(Exception):  # noqa: N818  # not an error: somebody asked for it.
    """The work on a photo was canceled before its end."""


class Control(NamedTuple):
    """How a caller follows the work on a photo, and stops it.

    Attributes:
        progress: is called with the part of the work that is done, from 0 to 1; never goes back.
        cancel: once it is set, the work ends with `Canceled` at the next step.
    """

    progress: Callable[[float], None] | None = None
    cancel: threading.Event | None = None

    def step(self, done: float) -> None:
        """Report the part of the work that is done; called by engines between their steps.

        Args:
            done: from 0 to 1.

        Raises:
            Canceled: the caller has asked for it.
        """
        if self.cancel is not None and self.cancel.is_set():
            raise Canceled("The work on the photo was canceled.")
        if self.progress is not None:
            self.progress(done)


NO_CONTROL = Control()


class Engine(ABC):
    """A loaded method: stylizes or enlarges photos one at a time.

    A result depends on the photo alone, not on the photos before it. Calls from several threads
    are safe.

    Attributes:
        scale: by which each side of a photo grows; 1 where pictures have their photo's size.
        cores_wanted: how many CPU cores work on one photo, at most; None for all of them.
    """

    scale: int = 1
    cores_wanted: int | None = None

    def __call__(
        self,
        photo: Photo,
        progress: Callable[[float], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Photo:
        """Return the picture of a photo, with the photo's alpha and metadata.

        Args:
            photo: of any size from 1x1 up.
            progress: is called with the part of the work that is done, from 0 to 1.
            cancel: set it, in another thread, to end the work early.

        Raises:
            Canceled: `cancel` was set.
            NonFiniteError: values are NaN or infinite, in float32 too.
            MemoryError: the photo needs more memory than the engine may take.
        """
        return photo.with_pixels(self.transform(photo.pixels, Control(progress, cancel)))

    @abstractmethod
    def transform(self, pixels: Tensor, control: Control = NO_CONTROL) -> Tensor:
        """Return the pixels of a picture.

        Args:
            pixels: RGB, uint8 or uint16 of shape (3, H, W), on the CPU.
            control: is told of the progress, and may cancel the work.

        Returns:
            RGB of the same type and shape (3, scale H, scale W), on the CPU.

        Raises:
            Canceled, NonFiniteError, MemoryError: as `__call__`.
        """

    @abstractmethod
    def memory_needed(self, width: int, height: int) -> int:
        """Return about how many bytes of memory a photo takes at the peak, rather too many.

        Args:
            width: of the photo, in pixels.
            height: likewise.
        """
