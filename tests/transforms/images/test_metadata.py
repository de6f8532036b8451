"""Metadata are kept, updated or removed."""

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from torchvision.transforms.v2.functional import pil_to_tensor

from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.directories import Tags, long_entry, rational_entry
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.photo import Photo
from stylebeam.transforms.images.tiff import encode_tiff
from stylebeam.transforms.images.xmp import xmp_without_place
from tests.helpers import color_profiles
from tests.helpers.image_files import HEIF, file_of, opened, psnr
from tests.helpers.mutations import XMP

Gradient = Callable[[int, int], Image.Image]

FORMATS = ["jpeg", "png", "webp", "tiff", "avif", HEIF]
ORIENTATION, MAKE = 0x0112, 0x010F
EXIF_IFD, GPS_IFD, INTEROP_IFD, MAKER_NOTE = 0x8769, 0x8825, 0xA005, 0x927C

# How a camera stores the pixels for each orientation: the inverse of what the tag says.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def tagged(orientation: int = 1, **directories: dict[int, object]) -> bytes:
    """Return EXIF of a camera, with the directories `exif` and `gps`."""
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = orientation, "Camera"
    for tag, name in ((EXIF_IFD, "exif"), (GPS_IFD, "gps")):
        if name in directories:
            exif[tag] = directories[name]
    return exif.tobytes()


def with_metadata(image: Image.Image, image_format: str, **metadata: object) -> bytes:
    """Return a file with `exif`, `xmp`, `dpi` or `icc_profile`, as other programs write it."""
    if image_format == "png" and "xmp" in metadata:
        metadata["pnginfo"] = PngInfo()
        metadata["pnginfo"].add_itxt("XML:com.adobe.xmp", metadata.pop("xmp").decode())
    if image_format == "tiff":
        # Only Pillow's own TIFF encoder writes directories inside the tags.
        metadata["compression"] = "raw"
        tags = Image.Exif()
        tags.load(metadata["exif"])
        tags[700] = metadata.pop("xmp", b"")
        metadata["exif"] = tags.tobytes()
    return file_of(image, image_format, quality=95, **metadata)


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_and_reset(
    gradient: Gradient, orientation: int, source: str
) -> None:
    upright = gradient(64, 48)
    turn = STORED[orientation]
    image = upright if turn is None else upright.transpose(turn)
    photo = decode(with_metadata(image, source, exif=tagged(orientation)))
    assert photo.size == (64, 48)
    assert psnr(photo.pixels, pil_to_tensor(upright)) > 33
    for image_format in ("jpeg", "png", "webp", "tiff"):
        written = opened(encode(photo, image_format))
        assert written.size == (64, 48)
        assert written.getexif().get(ORIENTATION, 1) == 1
        assert written.getexif()[MAKE] == "Camera"


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_gps_and_exposure_are_kept_or_gps_dropped(
    gradient: Gradient, source: str, image_format: str
) -> None:
    exif = tagged(exif={0x829A: 0.25, INTEROP_IFD: {1: "R98"}}, gps={1: "N", 2: (47.0, 59.0, 30.0)})
    photo = decode(with_metadata(gradient(32, 24), source, exif=exif, xmp=XMP))
    written = opened(encode(photo, image_format))
    assert written.getexif().get_ifd(GPS_IFD)[2] == (47.0, 59.0, 30.0)
    assert written.getexif().get_ifd(EXIF_IFD)[0x829A] == 0.25
    assert b"GPSLatitude" in written.info["xmp"]
    private = encode(photo, image_format, keep_gps=False)
    written = opened(private)
    assert not written.getexif().get_ifd(GPS_IFD)
    assert written.getexif().get_ifd(EXIF_IFD)[0x829A] == 0.25
    assert written.getexif()[MAKE] == "Camera"
    assert b"GPS" not in written.info["xmp"]
    assert b"<dc:rights>Ann</dc:rights>" in written.info["xmp"]
    assert b"GPSL" not in private


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_xmp_is_kept_without_its_orientation(
    gradient: Gradient, source: str, image_format: str
) -> None:
    data = with_metadata(gradient(32, 24), source, exif=tagged(6), xmp=XMP)
    photo = decode(data)
    assert photo.size == (24, 32)
    written = opened(encode(photo, image_format))
    assert b"<dc:rights>Ann</dc:rights>" in written.info["xmp"]
    assert b"Orientation" not in written.info["xmp"]
    assert written.size == (24, 32)
    assert written.getexif().get(ORIENTATION, 1) == 1


@pytest.mark.parametrize(
    "packet",
    [
        b'<rdf:Description tiff:Orientation = "6" dc:rights="Ann"/>',
        b"<rdf:Description dc:rights='Ann' tiff:Orientation='6'/>",
        b'<d dc:rights="Ann"><tiff:Orientation>6</tiff:Orientation></d>',
        b'<d dc:rights="Ann"><tiff:Orientation rdf:x="y"\n>6</tiff:Orientation><e/></d>',
        b'<d dc:rights="Ann"><xmp:Thumbnails><rdf:Alt>/9j/old</rdf:Alt></xmp:Thumbnails></d>',
        b'<d dc:rights="Ann" exif:PixelXDimension="32"><exif:PixelYDimension/></d>',
    ],
)
def test_outdated_properties_are_removed_from_xmp(gradient: Gradient, packet: bytes) -> None:
    photo = decode(with_metadata(gradient(32, 24), "webp", exif=tagged(), xmp=packet))
    assert b"Ann" in photo.xmp
    for stale in (b"Orientation", b"/9j/old", b"Dimension"):
        assert stale not in photo.xmp


@pytest.mark.parametrize(
    "packet",
    [
        b'<!DOCTYPE d [<!ENTITY a "aaaa">]><d dc:rights="&a;"/>',
        b"<d><tiff:Orientation>6</d>",
        b'<d tiff:Orientation="<6"/>',
        "<d/>".encode("utf-16"),
        b"\xff\xfe\xfd",
        b"\0\0",
    ],
)
def test_xmp_that_is_not_understood_is_removed(gradient: Gradient, packet: bytes) -> None:
    photo = decode(with_metadata(gradient(32, 24), "webp", exif=tagged(), xmp=packet))
    assert photo.xmp is None
    assert photo.size == (32, 24)


def test_coordinates_are_removed_with_any_prefix() -> None:
    exif = b'xmlns:e="http://ns.adobe.com/exif/1.0/"'
    packet = (
        b"<rdf:Description " + exif + b' e:GPSAltitude="400/1" e:FNumber="4/1">'
        b"<e:GPSMapDatum>WGS</e:GPSMapDatum></rdf:Description>"
    )
    expected = b"<rdf:Description " + exif + b' e:FNumber="4/1"></rdf:Description>'
    assert xmp_without_place(packet) == expected
    assert xmp_without_place(b"<rdf:RDF><exif:GPSMapDatum>WGS</rdf:RDF>") is None
    assert xmp_without_place(None) is None


def test_the_thumbnail_of_the_original_photo_is_removed(gradient: Gradient) -> None:
    thumbnail = file_of(gradient(16, 12), "jpeg")
    first = struct.pack("<HHHLLL", 1, MAKE, 2, 4, int.from_bytes(b"Cam\0", "little"), 26)
    second = struct.pack("<HHHLLHHLLL", 2, 0x201, 4, 1, 56, 0x202, 4, 1, len(thumbnail), 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<L", 8) + first + second + thumbnail
    data = file_of(gradient(32, 24), "jpeg", exif=exif)
    assert thumbnail in data
    assert opened(data).getexif().get_ifd(ExifTags.IFD.IFD1)[0x202] == len(thumbnail)
    photo = decode(data)
    for image_format in ("jpeg", "png", "webp", "tiff"):
        encoded = encode(photo, image_format)
        assert thumbnail[:64] not in encoded
        assert opened(encoded).getexif()[MAKE] == "Cam"
        assert not opened(encoded).getexif().get_ifd(ExifTags.IFD.IFD1)


@pytest.mark.parametrize("image_format", ["jpeg", "png", "tiff", "bmp"])
@pytest.mark.parametrize("source", ["jpeg", "png", "tiff", "bmp"])
def test_the_resolution_is_kept(gradient: Gradient, source: str, image_format: str) -> None:
    photo = decode(file_of(gradient(32, 24), source, dpi=(300, 150)))
    assert photo.dpi == pytest.approx((300, 150), abs=0.1)
    assert opened(encode(photo, image_format)).info["dpi"] == pytest.approx((300, 150), abs=0.1)


@pytest.mark.parametrize("source", ["webp", "avif", HEIF])
def test_the_resolution_of_other_formats_is_in_exif(gradient: Gradient, source: str) -> None:
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = 100.0, 50.0, 3
    photo = decode(file_of(gradient(32, 24), source, exif=exif.tobytes()))
    assert photo.dpi == pytest.approx((254, 127))
    assert opened(encode(photo, source)).getexif()[282] == 100


def test_a_missing_or_zero_resolution_is_none(gradient: Gradient) -> None:
    assert decode(file_of(gradient(8, 8), "png")).dpi is None
    zero = Image.Exif()
    zero[282] = zero[283] = 0.0
    assert decode(file_of(gradient(8, 8), "webp", exif=zero.tobytes())).dpi is None


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_tags_about_the_pixels_of_a_tiff_are_removed(gradient: Gradient, compression: str) -> None:
    tags = {34377: b"8BIM old thumbnail", 37724: b"Adobe Photoshop Document Data Block"}
    options = {"compression": compression, "description": "A lake", "tiffinfo": tags}
    photo = decode(file_of(gradient(300, 200), "tiff", **options))
    assert dict(opened(encode(photo, "jpeg")).getexif()) == {270: "A lake"}


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\0" * 40])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_ignored(gradient: Gradient, exif: bytes) -> None:
    image = gradient(30, 20)
    photo = decode(file_of(image, "png", exif=exif))
    assert torch.equal(photo.pixels, pil_to_tensor(image))


def test_the_maker_note_is_removed_from_exif_too_long_for_a_jpeg(gradient: Gradient) -> None:
    exif = tagged(exif={MAKER_NOTE: bytes(70_000), 0x829A: 0.25})
    photo = decode(file_of(gradient(30, 20), "png", exif=exif))
    written = opened(encode(photo, "jpeg")).getexif().get_ifd(EXIF_IFD)
    assert written == {0x829A: 0.25}
    assert len(opened(encode(photo, "webp")).getexif().get_ifd(EXIF_IFD)[MAKER_NOTE]) == 70_000


def test_metadata_too_long_for_a_jpeg_are_left_out(gradient: Gradient) -> None:
    exif = Image.Exif()
    exif[270] = "long " * 20_000
    xmp = b'<d dc:rights="' + b"long " * 20_000 + b'"/>'
    photo = decode(file_of(gradient(30, 20), "webp", exif=exif, xmp=xmp))
    written = opened(encode(photo, "jpeg"))
    assert written.size == (30, 20)
    assert not written.getexif()
    assert "xmp" not in written.info
    assert opened(encode(photo, "webp")).getexif()[270].startswith("long long")
    assert opened(encode(photo, "png")).info["xmp"] == xmp


def test_exif_of_an_enlarged_photo_has_the_new_size() -> None:
    exif = tagged(exif={0xA002: 8, 0xA003: 6, 0x829A: 0.25})
    photo = Photo(torch.zeros(3, 6, 8, dtype=torch.uint8), exif=exif)
    large = photo.with_pixels(torch.zeros(3, 24, 32, dtype=torch.uint8))
    for image_format in ("jpeg", "tiff"):
        written = opened(encode(large, image_format)).getexif().get_ifd(EXIF_IFD)
        assert written == {0xA002: 32, 0xA003: 24, 0x829A: 0.25}


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB"])
def test_pixels_and_color_profile_are_converted_to_srgb(mode: str, image_format: str) -> None:
    """55 of 255 in linear light is the middle gray that is 128 in sRGB."""
    color = {"L": 55, "LA": (55, 200), "RGB": (55, 55, 55)}[mode]
    linear_rgb = color_profiles.rgb_profile(color_profiles.DISPLAY_P3, 1)
    profile = linear_rgb if mode == "RGB" else color_profiles.gray_profile(1)
    photo = decode(file_of(Image.new(mode, (8, 8), color), "png", icc_profile=profile))
    assert (photo.pixels.int() - 128).abs().max() <= 1
    written = opened(encode(photo, image_format))
    embedded = ImageCms.getOpenProfile(io.BytesIO(written.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(embedded)


@pytest.mark.parametrize("source", FORMATS)
def test_the_color_profile_of_every_format_is_read(source: str) -> None:
    profile = color_profiles.rgb_profile(color_profiles.DISPLAY_P3, 1)
    photo = decode(file_of(Image.new("RGB", (16, 16), (55, 55, 55)), source, icc_profile=profile))
    assert (photo.pixels.int() - 128).abs().max() <= 2
    assert photo.icc_profile is not None


def test_a_damaged_color_profile_is_ignored(gradient: Gradient) -> None:
    image = gradient(9, 9)
    photo = decode(file_of(image, "png", icc_profile=b"not a profile"))
    assert torch.equal(photo.pixels, pil_to_tensor(image))


def test_a_wrong_offset_of_a_directory_is_ignored() -> None:
    """Programs that move EXIF into a TIFF file forget to update offsets inside directories."""
    pixels = np.random.default_rng(0).integers(0, 256, (600, 400, 3), dtype=np.uint8)
    for place in range(20_000, 30_000, 1_000):
        exif = {INTEROP_IFD: long_entry("<", place), 0x829A: rational_entry("<", 0.25)}
        photo = decode(encode_tiff(pixels, Tags(exif=exif)))
        assert np.array_equal(photo.pixels.numpy().transpose(1, 2, 0), pixels)
        assert opened(encode(photo, "png")).getexif().get_ifd(EXIF_IFD) == {0x829A: 0.25}


def test_a_tiff_without_a_resolution_has_none() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    assert decode(encode_tiff(pixels, Tags())).dpi is None
