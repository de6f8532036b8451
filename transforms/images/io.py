"""Image files to RGB tensors and back: upright, in sRGB, with alpha and metadata carried over."""

import io
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pyarrow
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from stylebeam.transforms.images import metadata
from stylebeam.transforms.images.color_profiles import SRGB_PROFILE, deep_to_srgb, to_srgb
from stylebeam.transforms.images.deep import decode_deep, encode_deep_png
from stylebeam.transforms.images.formats import (
    DEFAULT_MAX_PIXELS,
    DEFAULT_QUALITY,
    EXTENSION_OF_FORMAT,
    FORMAT_OF_EXTENSION,
    HEIF_IS_MISSING,
    HEIF_IS_READ,
    ImageError,
    ImageFormat,
    allow_pixels,
    check_size,
    explanation,
    kind_of_file,
    truncation,
)
from stylebeam.transforms.images.pixel_range import from_unit_range, of_depth, to_unit_range
from stylebeam.transforms.images.segments import (
    is_cut_off,
    jpeg_pixels,
    png_pixels,
    png_with_metadata,
)
from stylebeam.transforms.images.tiff import encode_tiff, tags_exceed

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "DEFAULT_QUALITY",
    "EXTENSION_OF_FORMAT",
    "FORMAT_OF_EXTENSION",
    "ImageError",
    "ImageFormat",
    "Photo",
    "decode",
    "encode",
]

_LOSSY = ("jpeg", "webp", "avif", "heif")
_WITHOUT_ALPHA = ("jpeg", "bmp", "gif")
_WITH_METADATA = ("jpeg", "png", "webp", "avif", "heif")
_WITH_DPI = ("jpeg", "png", "bmp")
_SIXTEEN_BITS = ("png", "tiff")
# Of one of JPEG's segments, whose first bytes say what it holds.
_LARGEST_JPEG_EXIF, _LARGEST_JPEG_XMP = 65_533, 65_504


@dataclass(frozen=True)
class Photo:
    """A decoded image.

    Attributes:
        pixels: RGB, sRGB, upright; uint8 or, where the file has 16 bits a channel, uint16; of
            shape (3, H, W).
        alpha: opacity, of the pixels' type and shape (1, H, W), or None where the image has none.
        exif: EXIF without the orientation, which is applied already, and without a thumbnail;
            None where there is none.
        icc_profile: the sRGB profile where the file named a colour profile; else None.
        xmp: XMP without what no longer holds, in UTF-8; None where there is none.
        dpi: pixels an inch, across and down; None where the file does not say.
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
        """Return this photo with other pixels; if they are more or fewer, alpha goes with them.

        Args:
            pixels: RGB, uint8 or uint16 of shape (3, H, W).
        """
        if pixels.shape == self.pixels.shape:
            return replace(self, pixels=pixels)
        alpha = None
        if self.alpha is not None:
            sharp = to_unit_range(self.alpha)
            resized = resize(sharp, list(pixels.shape[1:]), InterpolationMode.BICUBIC)
            alpha = from_unit_range(resized, self.alpha.dtype)
        exif = metadata.exif_with_size(self.exif, pixels.shape[2], pixels.shape[1])
        return replace(self, pixels=pixels, alpha=alpha, exif=exif)

    def with_depth(self, dtype: torch.dtype) -> "Photo":
        """Return this photo with uint8 or uint16 pixels."""
        alpha = None if self.alpha is None else of_depth(self.alpha, dtype)
        return replace(self, pixels=of_depth(self.pixels, dtype), alpha=alpha)


def decode(data: bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> Photo:
    """Return the photo in an image file's bytes; of an animation or several pages, the first.

    Metadata that are damaged, or swell when they are unpacked, are left behind.

    Args:
        data: the whole file.
        max_pixels: images of more pixels are refused before they are decoded.

    Raises:
        ImageError: the bytes are not a whole image of a known kind, or the image is too large.
    """
    kind = kind_of_file(data)
    if is_cut_off(data, kind):
        raise ImageError(truncation(kind))
    if tags_exceed(data):
        bare = _without_metadata(data, kind)
        if bare is None:
            raise ImageError(
                f"The {kind} file is damaged: its tags refer to the same bytes again and again."
            )
        data = bare
    try:
        return _decoded(data, kind, max_pixels)
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly any kind on a malformed file.
        bare = _without_metadata(data, kind)
        if bare is not None:
            try:
                return _decoded(bare, kind, max_pixels)
            except Exception:  # It was not the metadata; the first error says what.
                pass
        raise ImageError(explanation(error, kind, max_pixels)) from error


def encode(
    photo: Photo,
    image_format: ImageFormat,
    quality: int = DEFAULT_QUALITY,
    keep_gps: bool = True,
) -> bytes:
    """Return the bytes of an image file.

    Args:
        photo: what to encode. JPEG, BMP and GIF hold no alpha: there it is laid over white. BMP
            and GIF hold no metadata, and only PNG and TIFF hold 16 bits a channel.
        image_format: the file format.
        quality: from 1 to 100, for JPEG, WebP, AVIF and HEIF.
        keep_gps: whether EXIF and XMP may say at which coordinates the photo was taken.

    Raises:
        ImageError: the format cannot hold the image (each has a largest side), or it is HEIF and
            the extra `heif` is not installed.
    """
    if image_format == "heif" and not HEIF_IS_READ:
        raise ImageError(f"The image is to be written as HEIC or HEIF. {HEIF_IS_MISSING}")
    if not keep_gps:
        photo = replace(
            photo,
            exif=metadata.exif_without_gps(photo.exif),
            xmp=metadata.xmp_without_gps(photo.xmp),
        )
    depth = photo.pixels.dtype if image_format in _SIXTEEN_BITS else torch.uint8
    pixels = _interleaved(photo.with_depth(depth))
    if pixels.shape[2] == 4 and image_format in _WITHOUT_ALPHA:
        pixels = _over_white(pixels)
    try:
        if image_format == "tiff":
            return encode_tiff(
                pixels, metadata.tiff_tags(photo.exif, photo.dpi, photo.xmp, photo.icc_profile)
            )
        options = _save_options(photo, image_format, quality)
        if pixels.dtype == np.uint16:
            # Pillow writes the metadata, around a pixel that is left away.
            around = _saved(Image.new("RGB", (1, 1)), image_format, options)
            return png_with_metadata(encode_deep_png(pixels), around)
        return _saved(Image.fromarray(pixels), image_format, options)
    except Exception as error:  # Pillow's encoders raise nearly any kind.
        width, height = photo.size
        raise ImageError(
            f"The image of {width}x{height} pixels cannot be written as {image_format}: {error}."
        ) from error


def _without_metadata(data: bytes, kind: str) -> bytes | None:
    """Return a file of the same pixels without metadata, where it can be had."""
    stripped = {"PNG": png_pixels, "JPEG": jpeg_pixels}.get(kind)
    return stripped(data) if stripped else None


def _decoded(data: bytes, kind: str, max_pixels: int) -> Photo:
    """Decode a file; besides `ImageError`, any exception is possible."""
    allow_pixels(max_pixels)
    if kind == "PNG":
        # Pillow reads metadata behind the pixels only with them, and does not read all pixels.
        data = png_with_metadata(data, data)
    # Files of HEIF's general kind may hold AVIF.
    formats = ("AVIF", "HEIF") if kind == "HEIF" else (kind,)
    with Image.open(io.BytesIO(data), formats=formats) as image:
        check_size(image, max_pixels)
        pixels = decode_deep(image, data)
        if pixels is None:
            image.load()
            # A HEIF file's header may say another size than its image has.
            check_size(image, max_pixels)
            rgb, alpha = _eight_bit_pixels(image)
        else:
            rgb = deep_to_srgb(pixels[..., :3], image.info.get("icc_profile"))
            alpha = pixels[..., 3:] if pixels.shape[2] == 4 else None
        orientation, exif = metadata.read_exif(image, data)
        photo = Photo(
            pixels=_upright(rgb, orientation),
            alpha=None if alpha is None else _upright(alpha, orientation),
            exif=exif,
            icc_profile=SRGB_PROFILE if image.info.get("icc_profile") else None,
            xmp=metadata.read_xmp(image),
            dpi=metadata.read_dpi(image, exif),
        )
    return photo.with_depth(photo.pixels.dtype)


def _eight_bit_pixels(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Return RGB and alpha of a loaded image, uint8 of shapes (H, W, 3) and (H, W, 1).

    Raises:
        ImageError: its pixels are of a kind that has no known range.
    """
    if image.mode == "F":
        raise ImageError("Images of floating-point numbers are not supported.")
    if image.mode.startswith("I"):
        raise ImageError("Images of 32-bit or signed integers are not supported.")
    alpha = None
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))[..., None]
    return _rgb_values(to_srgb(image, image.info.get("icc_profile"))), alpha


def _rgb_values(image: Image.Image) -> np.ndarray:
    """Return an RGB image's values, uint8 of shape (H, W, 3)."""
    try:
        # Pillow keeps four bytes a pixel; through Arrow these are had without a copy.
        values = pyarrow.array(image).flatten().to_numpy()
    except ValueError:  # Pillow keeps large images in several pieces, which Arrow's arrays are not.
        return np.asarray(image)
    return cv2.cvtColor(values.reshape(image.height, image.width, 4), cv2.COLOR_RGBA2RGB)


def _upright(pixels: np.ndarray, orientation: object) -> Tensor:
    """Return pixels of shape (H, W, C), turned as EXIF's orientation says, of shape (C, H, W).

    In memory the channels of a pixel stay side by side, as networks and encoders take them.
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return torch.from_numpy(np.require(pixels, requirements=("C", "W"))).permute(2, 0, 1)


def _interleaved(photo: Photo) -> np.ndarray:
    """Return RGB or RGBA of shape (H, W, 3 or 4)."""
    channels = photo.pixels if photo.alpha is None else torch.cat([photo.pixels, photo.alpha])
    return np.ascontiguousarray(channels.numpy().transpose(1, 2, 0))


def _over_white(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels)
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def _save_options(photo: Photo, image_format: ImageFormat, quality: int) -> dict[str, object]:
    options: dict[str, object] = {}
    if image_format in _LOSSY:
        options["quality"] = quality
    if image_format in _WITH_DPI and photo.dpi:
        options["dpi"] = photo.dpi
    if image_format not in _WITH_METADATA:
        return options
    exif, xmp = photo.exif, photo.xmp
    if image_format == "jpeg":
        exif = metadata.shortened_exif(exif, _LARGEST_JPEG_EXIF)
        xmp = xmp if xmp and len(xmp) <= _LARGEST_JPEG_XMP else None
    if image_format == "png" and xmp:
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options["pnginfo"] = text
    elif xmp:
        options["xmp"] = xmp
    if exif:
        options["exif"] = exif
    if photo.icc_profile:
        options["icc_profile"] = photo.icc_profile
    return options


def _saved(image: Image.Image, image_format: ImageFormat, options: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()
