"""Photos in memory: pixels and the metadata that belong to them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from stylebeam.transforms.images.metadata import exif_with_size
from stylebeam.transforms.images.pixels import from_unit_range, to_depth, to_unit_range


@dataclass(frozen=True)
class Photo:
    """A decoded image.

    Attributes:
        pixels: RGB in the sRGB color space, upright, shape (3, H, W); uint16 if the file has 16
            bits per channel, else uint8.
        alpha: opacity, same dtype as the pixels, shape (1, H, W); None if the image has none.
        exif: EXIF without the orientation, which is already applied, and without a thumbnail; None
            if there is none.
        icc_profile: the sRGB profile if the file had a color profile, else None.
        xmp: XMP in UTF-8 without outdated properties; None if there is none.
        dpi: horizontal and vertical resolution in pixels per inch; None if unknown.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    exif: bytes | None = None
    icc_profile: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[2], self.pixels.shape[1]

    def with_pixels(self, pixels: Tensor) -> "Photo":
        """Return this photo with other pixels. If their size differs, alpha is resized too.

        Args:
            pixels: RGB, uint8 or uint16, shape (3, H, W).
        """
        if pixels.shape == self.pixels.shape:
            return replace(self, pixels=pixels)
        alpha = None
        if self.alpha is not None:
            original = to_unit_range(self.alpha)
            resized = resize(original, list(pixels.shape[1:]), InterpolationMode.BICUBIC)
            alpha = from_unit_range(resized, self.alpha.dtype)
        exif = exif_with_size(self.exif, pixels.shape[2], pixels.shape[1])
        return replace(self, pixels=pixels, alpha=alpha, exif=exif)

    def with_depth(self, dtype: torch.dtype) -> "Photo":
        """Return this photo with pixels and alpha of another bit depth.

        Args:
            dtype: uint8 or uint16.
        """
        alpha = None if self.alpha is None else to_depth(self.alpha, dtype)
        return replace(self, pixels=to_depth(self.pixels, dtype), alpha=alpha)
