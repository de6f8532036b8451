"""Image files to RGB tensors and back: upright, in sRGB, with alpha and EXIF carried over."""

import io
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import pil_to_tensor, resize, to_pil_image

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

DEFAULT_QUALITY = 92
"""Of JPEG and WebP, where none is chosen."""

DEFAULT_MAX_PIXELS = 200_000_000
"""Larger images are refused, where no other limit is chosen."""

# Pillow opens more, but some of it by other programs: Ghostscript for PostScript.
_FORMATS_READ = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by its EXIF orientation."""

# Tags of a TIFF file that describe how its own pixels are stored, not the photograph.
_STORAGE_TAGS = (
    *range(254, 260), 262, 263, 266, 273, 274, *range(277, 282), 284, *range(288, 294),
    301, *range(317, 326), 330, *range(332, 348), *range(512, 522), *range(529, 533),
    700,  # XMP
    34675,  # the colour profile, which no longer holds
)  # fmt: skip
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_PIXEL_X_DIMENSION, _PIXEL_Y_DIMENSION = 0xA002, 0xA003
_LARGEST_JPEG_EXIF = 65_533

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
        """Return this photo with other pixels; if they are more or fewer, alpha goes with them.

        Args:
            pixels: RGB, uint8 of shape (3, H, W).
        """
        if pixels.shape == self.pixels.shape:
            return replace(self, pixels=pixels)
        alpha = None
        if self.alpha is not None:
            alpha = resize(self.alpha, list(pixels.shape[1:]), InterpolationMode.BICUBIC)
        exif = _with_size(self.exif, pixels.shape[2], pixels.shape[1])
        return replace(self, pixels=pixels, alpha=alpha, exif=exif)


def decode(data: bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> Photo:
    """Return the photo in an image file's bytes; of an animation, the first frame.

    Args:
        data: the whole file.
        max_pixels: images of more pixels are refused before they are decoded.

    Raises:
        ImageError: the bytes are not a whole image of a known kind, or the image is too large.
    """
    if not data:
        raise ImageError("The file is empty (0 bytes).")
    if Image.MAX_IMAGE_PIXELS is not None:
        # Pillow's own limit must not undercut the one that the user chose.
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS_READ) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise ImageError(
                    f"The image has {width}x{height} pixels, more than max_pixels ({max_pixels})."
                )
            return _to_photo(image)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError("The file is not an image of a known kind.") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"The image has more than max_pixels ({max_pixels}).") from error
    except MemoryError as error:
        raise ImageError("There is not enough memory to decode the image.") from error
    except Exception as error:  # Pillow's decoders raise nearly any kind on a malformed file.
        raise ImageError(f"The image is damaged: {error}.") from error


def encode(photo: Photo, image_format: ImageFormat, quality: int = DEFAULT_QUALITY) -> bytes:
    """Return the bytes of an image file.

    Args:
        photo: what to encode. JPEG, BMP and GIF hold no alpha: there it is laid over white. BMP
            and GIF hold no EXIF and no colour profile.
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
    buffer = io.BytesIO()
    try:
        image.save(buffer, image_format, **_save_options(photo, image_format, quality))
    except Exception as error:  # Pillow's encoders raise nearly any kind.
        width, height = photo.size
        raise ImageError(
            f"The image of {width}x{height} pixels cannot be written as {image_format}: {error}."
        ) from error
    return buffer.getvalue()


def _save_options(photo: Photo, image_format: ImageFormat, quality: int) -> dict[str, object]:
    options: dict[str, object] = {}
    if image_format in ("jpeg", "webp"):
        options["quality"] = quality
    if image_format in ("jpeg", "png", "webp", "tiff"):
        if photo.icc_profile:
            options["icc_profile"] = photo.icc_profile
        if photo.exif and (image_format != "jpeg" or len(photo.exif) <= _LARGEST_JPEG_EXIF):
            options["exif"] = photo.exif
    if image_format == "tiff":
        exif = Image.Exif()
        exif.load(photo.exif or b"")
        # Pillow's compressed TIFF cannot hold a block of tags within the tags.
        nested = _EXIF_IFD in exif or _GPS_IFD in exif
        options["compression"] = "raw" if nested else "tiff_adobe_deflate"
    return options


def _to_photo(image: Image.Image) -> Photo:
    image.load()
    profile = image.info.get("icc_profile")
    orientation, exif = _read_exif(image)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    alpha = None
    if image.has_transparency_data:
        alpha = pil_to_tensor(image.convert("RGBA").getchannel("A"))
    return Photo(
        pixels=pil_to_tensor(_to_srgb(image, profile)),
        alpha=alpha,
        exif=exif,
        icc_profile=_SRGB.tobytes() if profile else None,
    )


def _read_exif(image: Image.Image) -> tuple[object, bytes | None]:
    """Return the orientation, and the EXIF that still holds for other pixels.

    Damaged EXIF counts as none: it must not cost the photograph.
    """
    try:
        exif = image.getexif()
        orientation = exif.get(_ORIENTATION)
        for tag in _STORAGE_TAGS:
            exif.pop(tag, None)
        return orientation, exif.tobytes() if exif else None
    except Exception:  # Pillow's parser raises nearly any kind on damaged EXIF.
        return None, None


def _with_size(exif: bytes | None, width: int, height: int) -> bytes | None:
    """Return EXIF that says another size, if it says one."""
    if exif is None:
        return None
    tags = Image.Exif()
    tags.load(exif)
    photograph = tags.get_ifd(_EXIF_IFD)
    for tag, size in ((_PIXEL_X_DIMENSION, width), (_PIXEL_Y_DIMENSION, height)):
        if tag in photograph:
            photograph[tag] = size
    return tags.tobytes()


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert any mode to 8-bit RGB, through the colour profile where it is usable."""
    if image.mode == "F":
        raise ImageError("Images of floating-point numbers are not supported.")
    if image.mode.startswith("I"):
        # Pillow would clip these 16-bit gray values at 255 instead of scaling them.
        scaled = np.clip(np.rint(np.asarray(image) / 257), 0, 255).astype(np.uint8)
        image = Image.fromarray(scaled)
    elif image.mode in ("1", "LA", "La"):
        image = image.convert("L")
    elif image.mode in ("P", "PA", "RGBA", "RGBa", "RGBX"):
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
