"""Texts that PNG, JPEG and GIF files contain beside EXIF, XMP and IPTC.

A text has a keyword, as in PNG: "Title", "Author", "Description", ... The comments of JPEG and GIF
files have the keyword "Comment".
"""

import re

from stylebeam.transforms.images.segments import expanded, png_chunks

Text = tuple[str, str]
"""A keyword and a text."""

COMMENT = "Comment"
_XMP = "XML:com.adobe.xmp"
# In bytes of one text and of all: more than any program writes.
_LARGEST, _LARGEST_SUM = 4 * 2**20, 16 * 2**20
_LARGEST_TEXT = 2**16

_LONGEST_KEYWORD = 79  # in PNG
_LARGEST_COMMENT = 65_533  # in JPEG
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")

# Keywords of what describes the file, not the picture, and of copies of EXIF, XMP and IPTC.
_STALE = re.compile(
    r"Software|Thumb::.*|(exif|xmp|iptc|dc|photoshop|tiff|aux|date|png|jpeg|icc):.*|signature"
    r"|Raw profile type .*|XML:com\.adobe\.xmp|software|modify-date|create-date",
)
# With `gps: drop` only the keywords of the PNG specification are kept. The text is the user's.
_PLACELESS = (
    *("Title", "Author", "Description", "Copyright", "Creation Time", "Disclaimer", "Warning"),
    *("Source", COMMENT),
)


def png_texts(data: bytes) -> dict[str, bytes]:
    """Return the texts of a PNG file in UTF-8 by keyword; damaged and very long ones are left out.

    Args:
        data: the file.
    """
    found: dict[str, bytes] = {}
    left = _LARGEST_SUM
    for kind, chunk in png_chunks(data):
        if kind in _TEXT_CHUNKS and len(chunk) <= _LARGEST <= left:
            keyword, text = _png_text(kind, chunk[8:-4])
            left -= _LARGEST if text is None else len(text)
            if text is not None and 0 < len(keyword) <= _LONGEST_KEYWORD:
                found.setdefault(keyword, text)
    return found


def raw_profile(text: bytes | None) -> bytes:
    """Return what ImageMagick wrote as a text: a name, a length, and hexadecimal digits."""
    try:
        return bytes.fromhex(b"".join((text or b"").split()[2:]).decode())
    except ValueError:
        return b""


def current_texts(texts: dict[str, bytes]) -> tuple[Text, ...]:
    """Return the texts that describe the picture."""
    return tuple(
        (keyword, text.decode())
        for keyword, text in texts.items()
        if not _STALE.fullmatch(keyword) and len(text) <= _LARGEST_TEXT
    )


def comment_texts(comment: bytes) -> tuple[Text, ...]:
    """Return the comment of a JPEG or GIF file, in UTF-8 or Latin-1."""
    comment = comment.strip(b"\0")
    try:
        text = comment.decode()
    except UnicodeDecodeError:
        text = comment.decode("latin-1")
    return ((COMMENT, text),) if text.strip() and len(comment) <= _LARGEST_TEXT else ()


def texts_without_place(texts: tuple[Text, ...]) -> tuple[Text, ...]:
    """Return the texts whose keywords are known not to mean a place."""
    return tuple(text for text in texts if text[0] in _PLACELESS)


def comment_of(texts: tuple[Text, ...]) -> bytes | None:
    """Return the comment among texts, as JPEG and GIF files hold it; None if it is too long."""
    comment = next((text.encode() for keyword, text in texts if keyword == COMMENT), None)
    return comment if comment and len(comment) <= _LARGEST_COMMENT else None


def _png_text(kind: bytes, body: bytes) -> tuple[str, bytes | None]:
    """Return the keyword and the text in UTF-8 of a chunk's contents; no text if it is damaged."""
    key, _, rest = body.partition(b"\0")
    keyword = key.decode("latin-1")
    if kind == b"tEXt":
        return keyword, rest.decode("latin-1").encode()
    if kind == b"zTXt":
        latin = expanded(rest[1:], _LARGEST)
        return keyword, latin and latin.decode("latin-1").encode()
    is_compressed, rest = rest[:1] == b"\1", rest[2:]
    # A language and a translated keyword precede the text.
    text = rest.split(b"\0", 2)[-1]
    international = expanded(text, _LARGEST) if is_compressed else text
    try:
        return keyword, None if international is None else international.decode().encode()
    except UnicodeDecodeError:
        return keyword, None
