"""The table of image formats: what is read, what is written, and what each format can hold.

Everything that depends on the format is derived from `FORMATS`. A new format that Pillow reads and
writes is one more row.
"""

import re
from dataclasses import dataclass

try:
    # Optional, because patents on HEVC, the codec of HEIC, are licensed in some countries.
    import pillow_heif
except ImportError:
    _EXTRAS: tuple[str, ...] = ()
else:
    pillow_heif.register_heif_opener()
    _EXTRAS = ("heif",)

ImageFormat = str
"""The name of a row of `FORMATS`."""

DEFAULT_QUALITY = 92
"""Quality of the lossy formats, from 1 to 100."""

DEFAULT_MAX_PIXELS = 200_000_000
"""Images with more pixels are refused."""


class ImageError(Exception):
    """A file that cannot be read or written as an image; the message says why."""


@dataclass(frozen=True)
class FormatSpec:
    """What is known about one image format.

    Attributes:
        name: name in configs and recipes.
        pillow: Pillow's name, which is also used in error messages.
        extensions: file extensions, in lower case. Files of a chosen output format get the first.
        signature: a regular expression that matches the start of every file of the format.
        opened_as: the formats Pillow tries on such a file; empty for `pillow` alone.
        is_output_format: whether users may choose it for their outputs. Every format is written
            where outputs keep the format of their input.
        lossy: whether it is written with a quality.
        sixteen_bits: whether it is written with 16 bits per channel; needs code in `encoding`.
        alpha: whether it holds transparency; if not, transparent images are laid over white.
        metadata: whether it holds EXIF, XMP and an ICC profile.
        iptc: whether it holds IPTC.
        comment: whether it holds a comment.
        texts: whether it holds texts with keywords, as PNG does.
        dpi: whether it holds the resolution outside EXIF.
        largest_exif: the most bytes of EXIF it holds, None for no limit.
        largest_xmp: the most bytes of XMP it holds, None for no limit.
        largest_side: the largest width or height in pixels, None if it has no limit that matters.
        largest_area: the most pixels, likewise.
        needs_extra: the extra of stylebeam that reads and writes it, None if it needs none.
    """

    name: ImageFormat
    pillow: str
    extensions: tuple[str, ...]
    signature: bytes
    opened_as: tuple[str, ...] = ()
    is_output_format: bool = False
    lossy: bool = False
    sixteen_bits: bool = False
    alpha: bool = False
    metadata: bool = False
    iptc: bool = False
    comment: bool = False
    texts: bool = False
    dpi: bool = False
    largest_exif: int | None = None
    largest_xmp: int | None = None
    largest_side: int | None = None
    largest_area: int | None = None
    needs_extra: str | None = None

    @property
    def is_available(self) -> bool:
        """Whether files can be read and written: the extra is installed, if one is needed."""
        return self.needs_extra is None or self.needs_extra in _EXTRAS

    def require(self) -> None:
        """Check that files of the format can be read and written.

        Raises:
            ImageError: the extra is not installed.
        """
        if not self.is_available:
            raise ImageError(
                f"To read and write {self.pillow} files ({', '.join(self.extensions)}), install"
                f" stylebeam with the extra {self.needs_extra}:"
                f" pip install 'stylebeam[{self.needs_extra}]'."
            )

    def check_size(self, width: int, height: int) -> None:
        """Check that the format can hold a picture.

        Args:
            width: of the picture, in pixels.
            height: likewise.

        Raises:
            ImageError: it is too large; the message says the limit and what to do.
        """
        if self.largest_side is not None and max(width, height) > self.largest_side:
            limit = f"a side may have at most {self.largest_side} pixels"
        elif self.largest_area is not None and width * height > self.largest_area:
            limit = f"it may have at most {self.largest_area} pixels"
        else:
            return
        raise ImageError(
            f"A picture of {width}x{height} pixels cannot be written as {self.name}: {limit}."
            " Choose another format, such as png or tiff."
        )


# Only formats that Pillow decodes itself: it hands PostScript to Ghostscript, for example.
_ROWS = (
    FormatSpec(
        name="jpeg",
        pillow="JPEG",
        extensions=(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".mpo"),
        signature=rb"\xff\xd8\xff",
        is_output_format=True,
        lossy=True,
        metadata=True,
        iptc=True,
        comment=True,
        dpi=True,
        # One segment of 64 KiB holds each, after a header that names it.
        largest_exif=65_533,
        largest_xmp=65_504,
        largest_side=65_500,
    ),
    FormatSpec(
        name="png",
        pillow="PNG",
        extensions=(".png", ".apng"),
        signature=rb"\x89PNG\r\n\x1a\n",
        is_output_format=True,
        sixteen_bits=True,
        alpha=True,
        metadata=True,
        texts=True,
        dpi=True,
    ),
    FormatSpec(
        name="webp",
        pillow="WEBP",
        extensions=(".webp",),
        signature=rb"RIFF....WEBP",
        is_output_format=True,
        lossy=True,
        alpha=True,
        metadata=True,
        largest_side=16_383,
    ),
    FormatSpec(
        name="tiff",
        pillow="TIFF",
        extensions=(".tiff", ".tif"),
        signature=rb"II[*+]\0|MM\0[*+]",
        is_output_format=True,
        sixteen_bits=True,
        alpha=True,
        metadata=True,
        iptc=True,
        dpi=True,
    ),
    FormatSpec(
        name="bmp",
        pillow="BMP",
        extensions=(".bmp", ".dib"),
        signature=rb"BM",
        dpi=True,
        largest_area=1_400_000_000,  # A file has at most 4 GiB.
    ),
    FormatSpec(
        name="gif",
        pillow="GIF",
        extensions=(".gif",),
        signature=rb"GIF8",
        comment=True,
        largest_side=65_535,
    ),
    FormatSpec(
        name="avif",
        pillow="AVIF",
        extensions=(".avif",),
        signature=rb"....ftypavi[fs]",
        lossy=True,
        alpha=True,
        metadata=True,
        # Larger files can be written, but decoders refuse them.
        largest_side=32_768,
        largest_area=16_384**2,
    ),
    FormatSpec(
        name="heif",
        pillow="HEIF",
        extensions=(".heic", ".heif", ".hif"),
        signature=rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
        # The signatures mif1 and msf1 do not say which codec is inside.
        opened_as=("AVIF", "HEIF"),
        lossy=True,
        alpha=True,
        metadata=True,
        # Larger files can be written, but the decoder refuses them.
        largest_side=65_528,
        needs_extra="heif",
    ),
)

FORMATS: dict[ImageFormat, FormatSpec] = {row.name: row for row in _ROWS}
"""The image formats by name."""

FORMAT_OF_EXTENSION: dict[str, ImageFormat] = {
    extension: row.name for row in _ROWS for extension in row.extensions
}
"""The format of each file extension that counts as an image, in lower case."""

EXTENSION_OF_FORMAT: dict[ImageFormat, str] = {
    row.name: row.extensions[0] for row in _ROWS if row.is_output_format
}
"""The file extension of each format that can be chosen for outputs."""


def format_of_file(data: bytes) -> FormatSpec:
    """Return the format that a file's first bytes show.

    Raises:
        ImageError: the format is unknown or not available, or the file is empty.
    """
    if not data:
        raise ImageError("The file is empty (0 bytes).")
    for row in _ROWS:
        if re.match(row.signature, data, re.DOTALL):
            row.require()
            return row
    raise ImageError("The file is not an image of a known kind.")
