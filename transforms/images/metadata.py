"""Metadata of photos: what is read from files, and what is written into them.

Metadata that are damaged, or larger than any program writes, are ignored. They never raise.
"""

import math
from dataclasses import replace
from typing import NamedTuple

from PIL import Image

from stylebeam.transforms.images.directories import (
    BYTE,
    UNDEFINED,
    Entry,
    Tags,
    read_tags,
)
from stylebeam.transforms.images.exif import (
    ICC_TAG,
    IPTC_TAG,
    ORIENTATION,
    PHOTOSHOP_TAG,
    STORAGE_TAGS,
    XMP_TAG,
    parse_exif,
    read_exif,
    resolution_of_exif,
    tags_with_resolution,
)
from stylebeam.transforms.images.iptc import (
    PHOTOSHOP_HEADER,
    current_iptc,
    iptc_of_resources,
)
from stylebeam.transforms.images.segments import jpeg_segments, png_chunks
from stylebeam.transforms.images.texts import (
    Text,
    comment_texts,
    current_texts,
    png_texts,
    raw_profile,
)
from stylebeam.transforms.images.xmp import current_xmp

_LARGEST_DPI = 65_535  # what JPEG holds

# The markers of a JPEG file's segments, and what their contents start with.
_SEGMENTS = {
    "exif": (0xE1, b"Exif\0\0"),
    "xmp": (0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
    "resources": (0xED, PHOTOSHOP_HEADER),
    "comment": (0xFE, b""),
}
# TIFF tags that are read although they are kept elsewhere.
_READ = {ORIENTATION, XMP_TAG, IPTC_TAG, PHOTOSHOP_TAG}


class Metadata(NamedTuple):
    """The metadata of a file, without what no longer applies after the pixels have changed.

    Attributes:
        orientation: how the pixels are turned and mirrored, from 1 to 8, as in EXIF.
        is_adobe_rgb: whether EXIF says that the pixels are in the color space Adobe RGB.
        exif: EXIF as in JPEG files; None if there is none.
        xmp: XMP in UTF-8; None if there is none.
        iptc: IPTC-IIM; None if there is none.
        texts: texts of PNG files, and comments.
    """

    orientation: int
    is_adobe_rgb: bool
    exif: bytes | None
    xmp: bytes | None
    iptc: bytes | None
    texts: tuple[Text, ...]


class _Raw(NamedTuple):
    """The metadata as a file contains them."""

    tags: Tags | None = None
    xmp: bytes | None = None
    iptc: bytes = b""
    texts: tuple[Text, ...] = ()
    # Where the format has an orientation beside EXIF: the one to apply, and whether there is one.
    orientation: int | None = None
    turned: bool = False


def read_metadata(image: Image.Image, data: bytes) -> Metadata:
    """Return the metadata of a file.

    Args:
        image: the file as opened by Pillow.
        data: the file.
    """
    readers = {"JPEG": _of_jpeg, "MPO": _of_jpeg, "PNG": _of_png, "TIFF": _of_tiff}
    reader = readers.get(image.format or "")
    raw = _of_image(image) if reader is None else reader(data)
    found = read_exif(raw.tags, raw.turned)
    orientation = raw.orientation or found.orientation
    return Metadata(
        orientation=orientation,
        is_adobe_rgb=found.is_adobe_rgb,
        exif=found.exif,
        xmp=current_xmp(raw.xmp, turned=raw.turned or orientation != 1),
        iptc=current_iptc(raw.iptc),
        texts=raw.texts,
    )


def read_dpi(image: Image.Image, exif: bytes | None) -> tuple[float, float] | None:
    """Return the horizontal and vertical resolution in pixels per inch; None if unknown.

    Args:
        image: the file as opened by Pillow.
        exif: the file's EXIF from `read_metadata`.
    """
    # Pillow says 1 where a TIFF file has no resolution.
    dpi = None if image.format == "TIFF" else image.info.get("dpi")
    try:
        x, y = (float(value) for value in dpi or resolution_of_exif(exif))
    except Exception:  # The values may be of any type.
        return None
    valid = all(math.isfinite(value) and 1 <= value <= _LARGEST_DPI for value in (x, y))
    return (x, y) if valid else None


def tiff_tags(
    exif: bytes | None,
    dpi: tuple[float, float] | None,
    xmp: bytes | None,
    iptc: bytes | None,
    icc_profile: bytes | None,
) -> Tags:
    """Return metadata as the tags of a TIFF file."""
    tags = tags_with_resolution(parse_exif(exif) or Tags(), dpi)
    fields = ((XMP_TAG, BYTE, xmp), (IPTC_TAG, UNDEFINED, iptc), (ICC_TAG, UNDEFINED, icc_profile))
    added = {tag: Entry(kind, data) for tag, kind, data in fields if data}
    return replace(tags, main=tags.main | added)


def _of_jpeg(data: bytes) -> _Raw:
    """Return the metadata of a JPEG file. Each kind may be in several segments."""
    parts: dict[str, list[bytes]] = {"exif": [], "xmp": [], "resources": [], "comment": []}
    for marker, start, end in jpeg_segments(data):
        for name, (its_marker, header) in _SEGMENTS.items():
            if marker == its_marker and data.startswith(header, start + 4):
                parts[name].append(data[start + 4 + len(header) : end])
    return _Raw(
        tags=parse_exif(b"".join(parts["exif"])),
        xmp=next(iter(parts["xmp"]), None),
        iptc=iptc_of_resources(b"".join(parts["resources"])),
        texts=comment_texts(b"\n".join(comment.strip(b"\0") for comment in parts["comment"])),
    )


def _of_png(data: bytes) -> _Raw:
    texts = png_texts(data)
    exif = next((chunk[8:-4] for kind, chunk in png_chunks(data) if kind == b"eXIf"), b"")
    for name in ("exif", "APP1"):
        exif = exif or raw_profile(texts.get(f"Raw profile type {name}"))
    xmp = texts.get("XML:com.adobe.xmp") or raw_profile(texts.get("Raw profile type xmp"))
    # ImageMagick and ExifTool write IPTC inside Photoshop's resources.
    iptc = raw_profile(texts.get("Raw profile type iptc"))
    return _Raw(parse_exif(exif), xmp, iptc_of_resources(iptc) or iptc, current_texts(texts))


def _of_tiff(data: bytes) -> _Raw:
    tags = read_tags(data, STORAGE_TAGS - _READ)
    if tags is None:
        return _Raw()
    xmp, iptc, resources = (
        tags.main.get(tag, Entry(BYTE, b"")).data for tag in (XMP_TAG, IPTC_TAG, PHOTOSHOP_TAG)
    )
    return _Raw(tags, xmp, iptc or iptc_of_resources(resources))


def _of_image(image: Image.Image) -> _Raw:
    """Return the metadata of the other formats, from Pillow."""
    exif, xmp = image.info.get("exif"), image.info.get("xmp")
    comment = image.info.get("comment")
    orientation, turned = None, False
    if image.format == "AVIF":
        exif, orientation = _exif_and_orientation_of_avif(image)
        turned = orientation not in (None, 1)
    elif image.format == "HEIF":
        # It has been applied, and set to 1 in EXIF.
        orientation, turned = 1, image.info.get("original_orientation") not in (None, 1)
    return _Raw(
        tags=parse_exif(exif) if isinstance(exif, bytes) else None,
        xmp=xmp if isinstance(xmp, bytes) else None,
        texts=comment_texts(comment) if isinstance(comment, bytes) else (),
        orientation=orientation,
        turned=turned,
    )


def _exif_and_orientation_of_avif(image: Image.Image) -> tuple[bytes | None, int | None]:
    """Return the file's own EXIF, and the orientation that AVIF has beside it.

    Pillow writes the orientation into EXIF, and rewrites the other tags.
    """
    try:
        *_, exif, orientation, _ = image._decoder.get_info()  # type: ignore[attr-defined]
    except (AttributeError, ValueError):  # a change of Pillow
        return image.info.get("exif"), None
    return exif, orientation
