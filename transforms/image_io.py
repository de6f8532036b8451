"""Image files to RGB tensors and back: upright, in sRGB, with alpha and EXIF carried over."""

import io
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

ImageFormat = Literal["jpeg", "png", "webp", "tiff", "bmp", "gif"]

FORMAT_OF_EXTENSION: dict[str, ImageFormat] = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".bmp": "bmp",
    ".gif": "gif",
}
"""The file extensions that count as images, in lower case, and what is written under each."""

EXTENSION_OF_FORMAT: dict[ImageFormat, str] = {
    "jpeg": ".jpg",
    "png": ".png",
    "webp": ".webp",
    "tiff": ".tiff",
}
"""The extension that a chosen output format gets."""

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


class ImageError(Exception):
    """A file that cannot be read or written as an image; the message says why."""


@dataclass(frozen=True)
class Photo:
    """A decoded image.

    Attributes:
        pixels: RGB, sRGB, upright; uint8 of shape (3, H, W).
        alpha: opacity, uint8 of shape (1, H, W), or None where the image has none.
        exif: EXIF without the orientation, which is applied already; None where there is none.
        icc_profile: the sRGB profile where the file named a colour profile; else None.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    exif: bytes | None = None
    icc_profile: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[2], self.pixels.shape[1]

    def with_pixels(self, pixels: Tensor) -> "Photo":
        """Return this photo with other pixels of the same shape.

        Raises:
            ValueError: the shape differs.
        """
        if pixels.shape != self.pixels.shape:
            raise ValueError(f"expected pixels of shape {tuple(self.pixels.shape)}")
        return replace(self, pixels=pixels)


def decode(data: bytes, max_pixels: int | None = None) -> Photo:
    """Return the photo in an image file's bytes; of an animation, the first frame.

    Args:
        data: the whole file.
        max_pixels: images of more pixels are refused before they are decoded.

    Raises:
        ImageError: the bytes are not a whole image of a known kind, or the image is too large.
    """
    if not data:
        raise ImageError("The file is empty (0 bytes).")
    if max_pixels is not None and Image.MAX_IMAGE_PIXELS is not None:
        # Pillow's own limit must not undercut the one that the user chose.
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if max_pixels is not None and width * height > max_pixels:
                raise ImageError(
                    f"The image has {width}x{height} pixels, more than max_pixels ({max_pixels})."
                )
            return _to_photo(image)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError("The file is not an image of a known kind.") from None
    except Image.DecompressionBombError as error:
        limit = str(error) if max_pixels is None else f"more than max_pixels ({max_pixels})"
        raise ImageError(f"The image is too large: {limit}.") from error
    except Exception as error:  # Pillow's decoders raise nearly any kind on a malformed file.
        raise ImageError(f"The image is damaged: {error}") from error


def encode(photo: Photo, image_format: ImageFormat, quality: int = 92) -> bytes:
    """Return the bytes of an image file.

    Args:
        photo: what to encode. JPEG, BMP and GIF hold no alpha: there it is laid over white.
        image_format: the file format.
        quality: from 1 to 100, for JPEG and WebP.

    Raises:
        ImageError: the format cannot hold the image (each has a largest side).
    """
    image = to_pil_image(photo.pixels)
    if photo.alpha is not None:
        image.putalpha(to_pil_image(photo.alpha))
        if image_format in ("jpeg", "bmp", "gif"):
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image).convert("RGB")
    options: dict[str, object] = {}
    if photo.exif and image_format in ("jpeg", "png", "webp", "tiff"):
        options["exif"] = photo.exif
    if photo.icc_profile and image_format in ("jpeg", "png", "webp", "tiff"):
        options["icc_profile"] = photo.icc_profile
    if image_format in ("jpeg", "webp"):
        options["quality"] = quality
    if image_format == "tiff":
        options["compression"] = "tiff_adobe_deflate"
    buffer = io.BytesIO()
    try:
        image.save(buffer, image_format, **options)
    except (OSError, ValueError) as error:
        width, height = photo.size
        raise ImageError(
            f"The image of {width}x{height} pixels cannot be written as {image_format}: {error}."
        ) from error
    return buffer.getvalue()


def _to_photo(image: Image.Image) -> Photo:
    image.load()
    image = ImageOps.exif_transpose(image)
    exif = image.getexif()
    profile = image.info.get("icc_profile")
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = pil_to_tensor(image.getchannel("A"))
    rgb = _to_srgb(image, profile)
    return Photo(
        pixels=pil_to_tensor(rgb),
        alpha=alpha,
        exif=exif.tobytes() if exif else None,
        icc_profile=_SRGB.tobytes() if profile else None,
    )


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert any mode to 8-bit RGB, through the colour profile where it is usable."""
    if image.mode.startswith("I"):
        # Pillow would clip these 16-bit gray values at 255 instead of scaling them.
        scaled = np.clip(np.rint(np.asarray(image) / 257), 0, 255).astype(np.uint8)
        return Image.fromarray(scaled).convert("RGB")
    if image.mode in ("1", "P", "LA", "PA", "RGBA", "RGBa", "La"):
        image = image.convert("RGB")
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), _SRGB, outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError):
            # A damaged profile, or one for other channels, says nothing about these pixels.
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")
