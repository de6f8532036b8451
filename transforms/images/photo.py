"""Photos in memory: pixels and the metadata that belong to them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from stylebeam.transforms.images.exif import resized_exif
from stylebeam.transforms.images.pixels import from_unit_range, to_depth, to_unit_range
from stylebeam.transforms.images.texts import Text
from stylebeam.transforms.images.xmp import resized_xmp


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
        iptc: IPTC-IIM; None if there is none.
        texts: keywords and texts of PNG files, and the comment of JPEG and GIF files.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    exif: bytes | None = None
    icc_profile: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    iptc: bytes | None = None
    texts: tuple[Text, ...] = ()

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
        exif = resized_exif(self.exif, pixels.shape[2], pixels.shape[1])
        return replace(self, pixels=pixels, alpha=alpha, exif=exif, xmp=resized_xmp(self.xmp))

    def with_depth(self, dtype: torch.dtype) -> "Photo":
        """Return this photo with pixels and alpha of another bit depth.

        Args:
            dtype: uint8 or uint16.
        """
        alpha = None if self.alpha is None else to_depth(self.alpha, dtype)
        return replace(self, pixels=to_depth(self.pixels, dtype), alpha=alpha)
