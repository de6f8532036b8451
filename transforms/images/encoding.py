"""Write photos as image files, with their alpha and metadata."""

import io
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from stylebeam.transforms.images.exif import exif_without_place, shortened_exif
from stylebeam.transforms.images.formats import (
    DEFAULT_QUALITY,
    FORMATS,
    FormatSpec,
    ImageError,
    ImageFormat,
)
from stylebeam.transforms.images.iptc import LARGEST_IN_JPEG, iptc_without_place, resources_of_iptc
from stylebeam.transforms.images.metadata import tiff_tags
from stylebeam.transforms.images.photo import Photo
from stylebeam.transforms.images.segments import (
    app13_segment,
    jpeg_with_comment,
    png_with_metadata,
)
from stylebeam.transforms.images.sixteen_bit import encode_sixteen_bit_png
from stylebeam.transforms.images.texts import Text, comment_of, texts_without_place
from stylebeam.transforms.images.tiff import encode_tiff
from stylebeam.transforms.images.xmp import xmp_without_place

_AVIF_THREADS = 2


def encode(
    photo: Photo,
    image_format: ImageFormat,
    quality: int = DEFAULT_QUALITY,
    keep_gps: bool = True,
) -> bytes:
    """Return a photo as the bytes of an image file.

    What the format cannot hold (see `FORMATS`) is reduced: alpha is laid over white, 16 bits are
    rounded to 8, metadata are left out.

    Args:
        photo: the photo to encode.
        image_format: a name in `FORMATS`.
        quality: from 1 to 100, for lossy formats.
        keep_gps: whether to keep all metadata; if not, only those that are known not to say where
            the photo was taken.

    Raises:
        ImageError: the format cannot hold an image of this size, or needs an extra that is not
            installed.
    """
    spec = FORMATS[image_format]
    spec.require()
    spec.check_size(*photo.size)
    try:
        return _encode(photo, spec, quality, keep_gps)
    except Exception as error:  # Pillow's encoders raise nearly any kind.
        width, height = photo.size
        raise ImageError(
            f"The image of {width}x{height} pixels cannot be written as {image_format}: {error}."
        ) from error


def _encode(photo: Photo, spec: FormatSpec, quality: int, keep_gps: bool) -> bytes:
    """Encode a photo. Any exception is possible."""
    if not keep_gps:
        photo = replace(
            photo,
            exif=exif_without_place(photo.exif),
            xmp=xmp_without_place(photo.xmp),
            iptc=iptc_without_place(photo.iptc),
            texts=texts_without_place(photo.texts),
        )
    depth = photo.pixels.dtype if spec.sixteen_bits else torch.uint8
    pixels = _channels_last(photo.with_depth(depth))
    if pixels.shape[2] == 4 and not spec.alpha:
        pixels = _over_white(pixels)
    if spec.name == "tiff":
        tags = tiff_tags(photo.exif, photo.dpi, photo.xmp, photo.iptc, photo.icc_profile)
        return encode_tiff(pixels, tags)
    options = _save_options(photo, spec, quality)
    if pixels.dtype == np.uint16:
        # Pillow does not write 16-bit RGB. It writes the metadata, around one pixel that is
        # then replaced.
        around = _save(Image.new("RGB", (1, 1)), spec, options)
        return png_with_metadata(encode_sixteen_bit_png(pixels), around)
    comment = comment_of(photo.texts) if spec.comment else None
    if comment and spec.name == "gif":
        options["comment"] = comment
    data = _save(Image.fromarray(pixels), spec, options)
    if comment and spec.name == "jpeg":
        # Pillow's buffer is too small for a comment beside long EXIF.
        data = jpeg_with_comment(data, comment)
    return data


def _channels_last(photo: Photo) -> np.ndarray:
    """Return RGB or RGBA, shape (H, W, 3 or 4)."""
    channels = photo.pixels if photo.alpha is None else torch.cat([photo.pixels, photo.alpha])
    return np.ascontiguousarray(channels.numpy().transpose(1, 2, 0))


def _over_white(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels)
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def _save_options(photo: Photo, spec: FormatSpec, quality: int) -> dict[str, object]:
    """Return the options of Pillow's `Image.save`."""
    options: dict[str, object] = {}
    if spec.lossy:
        options["quality"] = quality
    if spec.name == "avif":
        # The file depends on whether there is one thread or several, and not on how many.
        options["max_threads"] = _AVIF_THREADS
    if spec.dpi and photo.dpi:
        options["dpi"] = photo.dpi
    if not spec.metadata:
        return options
    exif, xmp = photo.exif, photo.xmp
    if spec.largest_exif is not None:
        exif = shortened_exif(exif, spec.largest_exif)
    if xmp and spec.largest_xmp is not None and len(xmp) > spec.largest_xmp:
        xmp = None
    if spec.texts:
        options["pnginfo"] = _png_texts(xmp, photo.texts)
    elif xmp:
        options["xmp"] = xmp
    if spec.iptc and photo.iptc and len(photo.iptc) <= LARGEST_IN_JPEG:
        options["extra"] = app13_segment(resources_of_iptc(photo.iptc))
    if exif:
        options["exif"] = exif
    if photo.icc_profile:
        options["icc_profile"] = photo.icc_profile
    return options


def _png_texts(xmp: bytes | None, texts: tuple[Text, ...]) -> PngInfo:
    """Return XMP and texts as Pillow writes them into PNG files."""
    info = PngInfo()
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    for keyword, text in texts:
        info.add_text(keyword, text)
    return info


def _save(image: Image.Image, spec: FormatSpec, options: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, spec.pillow, **options)
    return buffer.getvalue()
