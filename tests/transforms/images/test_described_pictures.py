"""IPTC, comments and texts are kept, XMP and IPTC without stale claims, or without places."""

import io
import struct
import zlib
from collections.abc import Callable

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torchvision.transforms.v2.functional import pil_to_tensor

from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.directories import (
    MAKER_NOTE,
    UNDEFINED,
    Entry,
    Tags,
    write_tags,
)
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.iptc import (
    current_iptc,
    iptc_of_resources,
    iptc_without_place,
    resources_of_iptc,
)
from stylebeam.transforms.images.photo import Photo
from stylebeam.transforms.images.segments import app13_segment
from stylebeam.transforms.images.texts import png_texts
from stylebeam.transforms.images.tiff import encode_tiff
from stylebeam.transforms.images.xmp import current_xmp, resized_xmp, xmp_without_place
from tests.helpers.camera_photo import COMMENT, IPTC, XMP, camera_photo, iptc
from tests.helpers.image_files import HEIF, file_of, opened

Gradient = Callable[[int, int], Image.Image]

STALE = (b"MicroVideo", b"MotionPhoto", b"Container:", b"hdrgm:V", b"hdrgm:G", b"GDepth:F")
PLACES = ("47.37", "8.54", "47,22", "8,32", "Zürich", "Niederdorf", "Schweiz", "408")
HEAD = b'<x:xmpmeta><rdf:RDF><rdf:Description rdf:about="" '
TAIL = b"</rdf:Description></rdf:RDF></x:xmpmeta>"


def packet(attributes: bytes = b"", elements: bytes = b"") -> bytes:
    return HEAD + attributes + b' dc:rights="Ann">' + elements + TAIL


def xmp_of(data: bytes) -> bytes:
    return opened(data).info["xmp"]


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "tiff", "avif", HEIF])
def test_a_picture_claims_no_video_gain_map_or_depth(image_format: str) -> None:
    xmp = xmp_of(encode(decode(camera_photo()), image_format))
    for name in (*STALE, b"DigitalSourceType="):
        assert name not in xmp
    for kept in ("街の雨", "José Ñandú", "дождь", "Straße im Regen", "drone-dji:GpsLatitude"):
        assert kept.encode() in xmp


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "tiff", "avif", HEIF])
def test_without_gps_no_place_is_in_the_file(image_format: str) -> None:
    data = encode(decode(camera_photo()), image_format, keep_gps=False)
    xmp = xmp_of(data)
    for place in PLACES:
        assert place.encode() not in xmp
    for kept in ("街の雨", "José Ñandú", "дождь", "Straße im Regen", "© José", 'xmp:Rating="4"'):
        assert kept.encode() in xmp
    for place in (b"Niederdorf", b"Schweiz", b"8.5417", b"Canon EOS R5 of a test"):
        assert place not in data


@pytest.mark.parametrize(
    "place",
    [
        (b'xmlns:d="http://www.dji.com/drone-dji/1.0/" d:GpsLatitude="47"', b""),
        (b'xmlns:d="http://x.org/" ', b"<d:GpsLatitude>47</d:GpsLatitude>"),
        (b'dc:coverage="47"', b""),
        (b'exif:GPSLatitude = "47,0N"', b"<exif:GPSDestBearing>47</exif:GPSDestBearing>"),
        (b"", b"<photoshop:City>47</photoshop:City><photoshop:State/>"),
        (b"", b'<Iptc4xmpCore:CreatorContactInfo Iptc4xmpCore:CiAdrCity="47"/>'),
        (b"", b"<dc:title><rdf:Alt><rdf:li><exif:GPSLatitude>47</exif:GPSLatitude></rdf:li>"
              b"</rdf:Alt></dc:title>"),
        # A familiar prefix for another namespace.
        (b'xmlns:xmp="http://x.org/" xmp:Rating="47"', b""),
        (b'xmlns="http://x.org/" place="47"', b"<place>47</place>"),
        (b"", b"<!-- 47 --><dc:title>t</dc:title>"),
    ],
)  # fmt: skip
def test_with_an_allow_list_no_other_property_is_kept(place: tuple[bytes, bytes]) -> None:
    cleaned = xmp_without_place(packet(*place))
    assert b"47" not in cleaned
    assert b'dc:rights="Ann"' in cleaned


@pytest.mark.parametrize(
    "unknown",
    [
        packet(elements=b"<dc:title>47"),
        packet().replace(b"<rdf:RDF>", b"<rdf:RDF>47,0N"),
        b"<other>47</other>",
        b"<?geo 47?>" + packet(),
        b'<!DOCTYPE d [<!ENTITY a "47">]>' + packet(),
        b"47",
        b"<x:xmpmeta>" + b"<rdf:li>" * 200 + b"</rdf:li>" * 200 + b"</x:xmpmeta>",
    ],
)
def test_a_packet_that_is_not_understood_is_dropped(unknown: bytes) -> None:
    assert xmp_without_place(unknown) is None


def test_many_namespaces_are_refused() -> None:
    many = b" ".join(b'xmlns:n%d="u"' % n for n in range(600))
    assert current_xmp(packet(many)) is None


@pytest.mark.parametrize(
    "stale",
    [
        b'xmlns:c="http://ns.google.com/photos/1.0/camera/" c:MicroVideo="1" c:MotionPhoto="1"',
        b'xmlns:o="http://ns.oplus.com/photos/1.0/camera/" o:MotionPhotoOwner="oplus"',
        b'xmlns:d="http://ns.google.com/photos/dd/1.0/device/" d:Container="1"',
        b'xmlns:h="http://ns.apple.com/HDRGainMap/1.0/" h:HDRGainMapVersion="1"',
        b'hdrgm:Version="1.0" GImage:Mime="image/jpeg" GCamera:SpecialTypeID="1"',
        b'exif:ColorSpace="65535" photoshop:ICCProfile="Adobe RGB (1998)" exif:SceneType="1"',
        b'dc:format="image/jpeg" tiff:Compression="6" dcterms:provenance="c2pa"',
    ],
)
def test_stale_claims_are_removed_whatever_their_prefix(stale: bytes) -> None:
    declarations = b" ".join(part for part in stale.split(b" ") if part.startswith(b"xmlns"))
    assert current_xmp(packet(stale)).split() == packet(declarations).split()


def test_other_bytes_of_a_packet_are_unchanged() -> None:
    kept = packet(b"\n\t xmp:Label = '&quot;>'", b"<!-- note --><lr:x a='&lt;'/> &#228;\n")
    assert current_xmp(kept) == kept


def test_sizes_of_a_panorama_and_faces_are_dropped_when_they_no_longer_apply() -> None:
    pano = b'GPano:ProjectionType="equirectangular" GPano:FullPanoWidthPixels="8"'
    regions = b"<mwg-rs:Regions><rdf:li>Ann</rdf:li></mwg-rs:Regions>"
    xmp = packet(pano, regions)
    assert current_xmp(xmp) == xmp
    assert b"Regions" not in current_xmp(xmp, turned=True)
    photo = Photo(torch.zeros(3, 4, 8, dtype=torch.uint8), xmp=xmp)
    large = photo.with_pixels(torch.zeros(3, 8, 16, dtype=torch.uint8))
    assert b"FullPanoWidthPixels" not in large.xmp
    assert b"ProjectionType" in large.xmp
    assert photo.with_pixels(photo.pixels).xmp == xmp
    assert resized_xmp(None) is None


@pytest.mark.parametrize("source", ["jpeg", "tiff", "resources"])
def test_iptc_is_kept_in_jpeg_and_tiff(gradient: Gradient, source: str) -> None:
    image = gradient(32, 24)
    pixels = pil_to_tensor(image).numpy().transpose(1, 2, 0)
    resources = resources_of_iptc(IPTC)
    other = b"8BIM\x04\x25\0\0\0\0\0\3abc\0"  # a digest, of a length that is not even
    data = {
        "jpeg": file_of(
            image, "jpeg", extra=app13_segment(resources[:14] + other + resources[14:])
        ),
        "tiff": encode_tiff(pixels, Tags(main={33723: Entry(UNDEFINED, IPTC)})),
        "resources": encode_tiff(pixels, Tags(main={34377: Entry(1, other + resources[14:])})),
    }[source]
    photo = decode(data)
    assert photo.iptc == IPTC
    assert resources in encode(photo, "jpeg")
    assert opened(encode(photo, "tiff")).tag_v2[33723] == IPTC
    assert decode(encode(photo, "jpeg")).iptc == IPTC
    private = encode(photo, "jpeg", keep_gps=False)
    assert "Regen auf der Straße, 東京".encode() in private
    assert b"Niederdorf" not in private
    assert "Zürich".encode() not in private


def test_iptc_that_imagemagick_wrote_into_a_png_is_read(gradient: Gradient) -> None:
    resources = resources_of_iptc(IPTC)[14:]
    for profile in (resources, IPTC):
        info = PngInfo()
        text = f"\niptc\n{len(profile):8}\n{profile.hex()}\n"
        info.add_text("Raw profile type iptc", text, zip=True)
        assert decode(file_of(gradient(32, 24), "png", pnginfo=info)).iptc == IPTC


def test_iptc_without_previews_and_after_damage() -> None:
    preview = b"\x1c\x02\xca\0\4JFIF"
    long = b"\x1c\x02\x78\x80\4" + struct.pack(">L", 5) + b"hello"
    assert current_iptc(IPTC + preview + long) == IPTC + long
    assert current_iptc(IPTC + b"\x1c\x02\x78\xff\xff") == IPTC
    assert current_iptc(b"garbage") is None
    assert iptc_without_place(None) is None
    for cut in range(len(resources_of_iptc(IPTC)) - 14):
        iptc_of_resources(resources_of_iptc(IPTC)[14 : 14 + cut])


def test_iptc_too_long_for_a_jpeg_is_left_out() -> None:
    long = iptc(*[(120, "a" * 30_000)] * 3)
    photo = Photo(torch.zeros(3, 8, 8, dtype=torch.uint8), iptc=long)
    assert decode(encode(photo, "jpeg")).iptc is None
    assert decode(encode(photo, "tiff")).iptc == long


@pytest.mark.parametrize("source", ["jpeg", "gif", "png"])
def test_comments_are_kept_in_jpeg_png_and_gif(gradient: Gradient, source: str) -> None:
    image = gradient(32, 24)
    if source == "png":
        info = PngInfo()
        info.add_itxt("Comment", COMMENT)
        data = file_of(image, "png", pnginfo=info)
    else:
        data = file_of(image, source, comment=COMMENT.encode())
    photo = decode(data)
    assert photo.texts == (("Comment", COMMENT),)
    for image_format in ("jpeg", "gif"):
        assert opened(encode(photo, image_format)).info["comment"].decode() == COMMENT
    assert opened(encode(photo, "png")).text == {"Comment": COMMENT}
    latin = file_of(image, "jpeg", comment="Grüße".encode("latin-1"))
    assert decode(latin).texts == (("Comment", "Grüße"),)


def test_a_comment_too_long_for_a_jpeg_is_left_out() -> None:
    for length in (65_533, 65_534):
        photo = Photo(torch.zeros(3, 8, 8, dtype=torch.uint8), texts=(("Comment", "a" * length),))
        written = opened(encode(photo, "jpeg")).info
        assert len(written.get("comment", b"")) == (length if length == 65_533 else 0)
        assert len(opened(encode(photo, "png")).text["Comment"]) == length


def test_a_jpeg_holds_the_largest_exif_xmp_iptc_and_comment_together() -> None:
    note = Entry(UNDEFINED, bytes(65_400))
    photo = Photo(
        torch.zeros(3, 8, 8, dtype=torch.uint8),
        exif=b"Exif\0\0" + write_tags(Tags(exif={MAKER_NOTE: note})),
        xmp=packet(elements=b" " * 65_000),
        iptc=iptc(*[(120, "a" * 21_000)] * 3),
        texts=(("Comment", "a" * 65_000),),
    )
    read = decode(encode(photo, "jpeg"))
    assert (read.exif, read.xmp, read.iptc, read.texts) == (
        *(photo.exif, photo.xmp, photo.iptc, photo.texts),
    )


def test_texts_of_a_png_are_kept_unless_they_describe_the_file(gradient: Gradient) -> None:
    info = PngInfo()
    info.add_text("Title", "Lake")
    info.add_text("Author", "José", zip=True)
    info.add_itxt("Description", "街の雨", "ja", "説明", zip=True)
    info.add_text("Where", "Zürich")
    for stale in ("Software", "exif:GPSLatitude", "date:create", "Raw profile type iptc"):
        info.add_text(stale, "stale")
    photo = decode(file_of(gradient(32, 24), "png", pnginfo=info))
    described = {"Title": "Lake", "Author": "José", "Description": "街の雨"}
    assert dict(photo.texts) == described | {"Where": "Zürich"}
    assert opened(encode(photo, "png")).text == described | {"Where": "Zürich"}
    assert opened(encode(photo, "png", keep_gps=False)).text == described
    deep = Photo(torch.zeros(3, 8, 8, dtype=torch.int32).to(torch.uint16), texts=photo.texts)
    assert opened(encode(deep, "png")).text == described | {"Where": "Zürich"}


def test_compressed_texts_are_expanded_only_to_a_limit() -> None:
    bomb = zlib.compress(bytes(2**24))
    chunks = [(b"zTXt", b"Bomb\0\0" + bomb), (b"zTXt", b"Bad\0\0xyz"), (b"tEXt", b"Title\0Lake")]
    data = bytes(8) + b"".join(
        struct.pack(">L", len(body)) + kind + body + bytes(4) for kind, body in chunks
    )
    assert png_texts(data) == {"Title": b"Lake"}
    assert png_texts(data[:8] + data[8 : 8 + len(bomb) + 18] * 10) == {}


def test_metadata_beside_a_text_that_expands_are_kept() -> None:
    info = PngInfo()
    info.add_text("Bomb", "0" * 2**23, zip=True)
    info.add_text("Title", "Lake")
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "png", pnginfo=info)
    assert decode(buffer.getvalue()).texts == (("Title", "Lake"),)


def test_the_packet_of_the_helpers_is_well_formed() -> None:
    assert current_xmp(XMP) is not None
