"""A photo with about a hundred tags, as a phone with a camera's lens and an archivist leave it."""

import struct

import numpy as np
from PIL import Image

from stylebeam.transforms.images.directories import (
    ASCII,
    BYTE,
    MAKER_NOTE,
    RATIONAL,
    UNDEFINED,
    Entry,
    Tags,
    integer_entry,
    read_tags,
    write_tags,
)
from stylebeam.transforms.images.iptc import resources_of_iptc
from stylebeam.transforms.images.segments import app13_segment
from tests.helpers.image_files import file_of

_SIGNED_RATIONAL = 10

XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/"
    xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:aux="http://ns.adobe.com/exif/1.0/aux/"
    xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/"
    xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"
    xmlns:Container="http://ns.google.com/photos/1.0/container/"
    xmlns:Item="http://ns.google.com/photos/1.0/container/item/"
    xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/"
    xmlns:GPano="http://ns.google.com/photos/1.0/panorama/"
    xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"
    tiff:Orientation="6"
    xmp:Rating="4"
    xmp:CreateDate="2024-05-01T12:30:00"
    xmpRights:Marked="True"
    aux:Lens="35mm ƒ/1.4"
    photoshop:Headline="Straße im Regen"
    photoshop:City="Zürich"
    photoshop:Country="Schweiz"
    exif:GPSLatitude="47,22.5N"
    drone-dji:GpsLatitude="47.375"
    GCamera:MicroVideo="1"
    GCamera:MicroVideoOffset="4022143"
    GCamera:MotionPhoto="1"
    GCamera:MotionPhotoVersion="1"
    GDepth:Format="RangeInverse"
    GPano:ProjectionType="equirectangular"
    GPano:FullPanoWidthPixels="32"
    GPano:FullPanoHeightPixels="24"
    hdrgm:Version="1.0"
    hdrgm:GainMapMax="2.5"
    Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture">
   <exif:GPSLongitude>8,32.5E</exif:GPSLongitude>
   <drone-dji:GpsLongitude>8.5417</drone-dji:GpsLongitude>
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">街の雨</rdf:li></rdf:Alt></dc:title>
   <dc:description><rdf:Alt><rdf:li xml:lang="x-default">Regen &amp; Licht</rdf:li></rdf:Alt>
   </dc:description>
   <dc:creator><rdf:Seq><rdf:li>José Ñandú</rdf:li></rdf:Seq></dc:creator>
   <dc:subject><rdf:Bag><rdf:li>дождь</rdf:li><rdf:li>street</rdf:li></rdf:Bag></dc:subject>
   <dc:rights><rdf:Alt><rdf:li xml:lang="x-default">© José</rdf:li></rdf:Alt></dc:rights>
   <Iptc4xmpExt:LocationShown><rdf:Bag><rdf:li rdf:parseType="Resource">
     <Iptc4xmpExt:City>Zürich</Iptc4xmpExt:City>
     <exif:GPSAltitude>408/1</exif:GPSAltitude>
   </rdf:li></rdf:Bag></Iptc4xmpExt:LocationShown>
   <Container:Directory><rdf:Seq>
    <rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="image/jpeg"
      Item:Semantic="Primary"/></rdf:li>
    <rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="video/mp4"
      Item:Semantic="MotionPhoto" Item:Length="4022143"/></rdf:li>
   </rdf:Seq></Container:Directory>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()


def text(value: str) -> Entry:
    """Return an ASCII entry in UTF-8, as cameras and programs write it."""
    return Entry(ASCII, value.encode() + b"\0")


def windows_text(value: str) -> Entry:
    """Return an entry of a tag of Windows, such as XPTitle."""
    return Entry(BYTE, value.encode("utf-16-le") + b"\0\0")


def rational(order: str, *values: tuple[int, int], signed: bool = False) -> Entry:
    """Return an entry of fractions."""
    numbers = [number for value in values for number in value]
    letter, kind = ("l", _SIGNED_RATIONAL) if signed else ("L", RATIONAL)
    return Entry(kind, struct.pack(f"{order}{len(numbers)}{letter}", *numbers))


def camera_tags(order: str = "<") -> Tags:
    """Return EXIF of all types and in many languages.

    The maker note is Canon's, which has offsets from the start of EXIF.
    """
    shorts = {tag: integer_entry(order, value) for tag, value in _SHORTS.items()}
    tags = Tags(order)
    tags.main = {
        **{0x010E: text("Zürich 東京"), 0x010F: text("Canon"), 0x0110: text("Canon EOS R5")},
        **{0x0112: shorts[0x0112], 0x0128: shorts[0x0128], 0x4746: shorts[0x4746]},
        **{0x011A: rational(order, (300, 1)), 0x011B: rational(order, (300, 1))},
        **{0x0131: text("Firmware 1.8"), 0x0132: text("2024:05:01 12:30:00")},
        **{0x013B: text("José Ñandú"), 0x013C: text("olgas-mac"), 0x8298: text("© Ольга")},
        **{0x9C9B: windows_text("日本語のタイトル"), 0x9C9C: windows_text("تعليق")},
        **{
            0x9C9D: windows_text("José"),
            0x9C9E: windows_text("雨;вода"),
            0x9C9F: windows_text("ύ"),
        },
        0xC0DE: Entry(UNDEFINED, b"private tag of a program, 47.37N"),
    }
    utf_16 = "utf-16-le" if order == "<" else "utf-16-be"
    tags.exif = {
        **{tag: shorts[tag] for tag in _SHORTS if tag > 0x8000 or tag in (0x1001,)},
        **{0x829A: rational(order, (1, 250)), 0x829D: rational(order, (28, 10))},
        **{0x9000: Entry(UNDEFINED, b"0232"), 0x9003: text("2024:05:01 12:30:00")},
        **{0x9004: text("2024:05:01 12:30:00"), 0x9011: text("+02:00"), 0x9291: text("047")},
        0x9102: rational(order, (4, 1)),
        0x9201: rational(order, (7965784, 1000000), signed=True),
        0x9204: rational(order, (-2, 3), signed=True),
        0x920A: rational(order, (35, 1)),
        0x9214: integer_entry(order, 10, 12, 5, 5),
        0x9286: Entry(UNDEFINED, b"UNICODE\0" + "Köln, 東京".encode(utf_16)),
        0x9400: rational(order, (-45, 10), signed=True),
        **{0xA301: Entry(UNDEFINED, b"\1"), 0xA500: rational(order, (22, 10))},
        **{0xA430: text("Ольга"), 0xA431: text("012345"), 0xA434: text("Sigma 35mm ƒ/1.4")},
    }
    tags.gps = {
        **{0: Entry(BYTE, b"\2\3\0\0"), 1: text("N"), 3: text("E"), 5: Entry(BYTE, b"\0")},
        2: rational(order, (47, 1), (22, 1), (30, 1)),
        4: rational(order, (8, 1), (32, 1), (30, 1)),
        6: rational(order, (408, 1)),
        7: rational(order, (10, 1), (30, 1), (0, 1)),
        18: text("WGS-84"),
    }
    tags.interop = {1: text("R03")}
    return _with_canon_note(tags)


_SHORTS = {
    **{0x0112: 6, 0x0128: 2, 0x4746: 4, 0x8822: 2, 0x8827: 400, 0x9207: 5, 0x9209: 16},
    **{0xA001: 65535, 0xA002: 32, 0xA003: 24, 0xA402: 1, 0xA406: 2, 0xA300: 3},
}


def _with_canon_note(tags: Tags) -> Tags:
    """Return tags with a maker note of Canon, which refers to its own values by their offset."""
    texts = b"Canon EOS R5 of a test\0", b"Firmware 1.8.1 of a test\0"
    start = 2 + 12 * len(texts) + 4
    place = 0
    for _ in range(2):  # the place is known after the first time
        offsets = place + start, place + start + len(texts[0])
        entries = b"".join(
            struct.pack(tags.order + "HHLL", tag, ASCII, len(value), offset)
            for tag, value, offset in zip((6, 7), texts, offsets, strict=True)
        )
        note = struct.pack(tags.order + "H", len(texts)) + entries + bytes(4) + b"".join(texts)
        tags.exif[MAKER_NOTE] = Entry(UNDEFINED, note)
        written = read_tags(write_tags(tags))
        assert written is not None
        place = written.exif[MAKER_NOTE].place or 0
    return tags


def iptc(*data_sets: tuple[int, str]) -> bytes:
    """Return IPTC-IIM in UTF-8 of some data sets of record 2."""
    packed = b"\x1c\x01\x5a\0\3\x1b%G"
    for number, value in data_sets:
        encoded = value.encode()
        packed += struct.pack(">BBBH", 0x1C, 2, number, len(encoded)) + encoded
    return packed


IPTC = iptc(
    *((5, "街の雨"), (25, "дождь"), (25, "street"), (55, "20240501"), (80, "José Ñandú")),
    *((90, "Zürich"), (92, "Niederdorf"), (95, "ZH"), (101, "Schweiz"), (105, "Straße im Regen")),
    *((116, "© José"), (120, "Regen auf der Straße, 東京")),
)
COMMENT = "Kommentar: Grüße, 東京"


def camera_photo(order: str = "<", image: Image.Image | None = None) -> bytes:
    """Return a JPEG file with all of these metadata.

    Args:
        order: the byte order of EXIF.
        image: its image, as stored; a gradient by default.
    """
    y, x = np.mgrid[0:24, 0:32]
    pixels = np.stack([8 * x, 10 * y, 4 * x + 3 * y], axis=2).astype(np.uint8)
    return file_of(
        image or Image.fromarray(pixels),
        "jpeg",
        quality=95,
        exif=b"Exif\0\0" + write_tags(camera_tags(order)),
        xmp=XMP,
        extra=app13_segment(resources_of_iptc(IPTC)),
        comment=COMMENT.encode(),
    )
