"""EXIF is copied byte for byte, around tags that other programs cannot read or write."""

import io
import struct
from collections.abc import Callable

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torchvision.transforms.v2.functional import pil_to_tensor

from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.directories import (
    ASCII,
    BYTE,
    DOUBLE,
    EXIF_IFD,
    MAKER_NOTE,
    UNDEFINED,
    Entry,
    Tags,
    integer_entry,
    integers,
    long_entry,
    read_tags,
    write_tags,
)
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.exif import exif_without_place, parse_exif
from stylebeam.transforms.images.photo import Photo
from stylebeam.transforms.images.tiff import encode_tiff
from tests.helpers.camera_photo import camera_photo, camera_tags, rational, text
from tests.helpers.image_files import HEIF, file_of, opened, psnr

Gradient = Callable[[int, int], Image.Image]

FORMATS = ["jpeg", "png", "webp", "tiff", "avif", HEIF]
ORIENTATION, SIGNED = 0x0112, 10


def tags_of(data: bytes) -> Tags:
    """Return the tags of an encoded file, read without the code that decodes photos."""
    if data[:2] in (b"II", b"MM"):
        tags = read_tags(data)
    else:
        tags = parse_exif(Image.open(io.BytesIO(data)).info["exif"])
    assert tags is not None
    return tags


def values(directory: dict[int, Entry]) -> dict[int, tuple[int, bytes]]:
    """Return types and values, without their places in the file."""
    return {tag: (entry.kind, entry.data) for tag, entry in directory.items()}


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_values_are_kept_byte_for_byte(order: str, image_format: str) -> None:
    before = camera_tags(order)
    after = tags_of(encode(decode(camera_photo(order)), image_format))
    assert after.order == order
    for tag, value in values(before.main).items():
        if tag not in (ORIENTATION, 282, 283, 296):
            assert values(after.main)[tag] == value, hex(tag)
    stale = (0x9102, 0x9214, 0xA001, 0xA002, 0xA003, 0xA301, 0xA500)
    for tag, value in values(before.exif).items():
        if tag not in stale:
            assert values(after.exif)[tag] == value, hex(tag)
    assert values(after.gps) == values(before.gps)


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_maker_note_keeps_its_place(image_format: str) -> None:
    """Its offsets count from the start of EXIF, so it can only be read where it was."""
    before = read_tags(write_tags(camera_tags()))
    after = tags_of(encode(decode(camera_photo()), image_format))
    assert after.exif[MAKER_NOTE] == before.exif[MAKER_NOTE]


def test_a_maker_note_in_the_middle_of_a_large_file_is_moved() -> None:
    far = Entry(UNDEFINED, b"note" * 9, 5_000_000)
    written = write_tags(Tags(main={0x010F: text("Cam")}, exif={MAKER_NOTE: far}))
    assert len(written) < 200
    assert read_tags(written).exif[MAKER_NOTE].data == b"note" * 9


UNWRITABLE = {
    "GPSTimeStamp as ASCII": ("gps", 7, text("10:30:00")),
    "GPSAltitude signed": ("gps", 6, rational("<", (-5, 1), signed=True)),
    "XResolution as ASCII": ("main", 282, text("300")),
    "Software as DOUBLE": ("main", 305, Entry(DOUBLE, struct.pack("<d", 1.5))),
    "ExposureTime as BYTE": ("exif", 0x829A, Entry(BYTE, b"\1\2\3")),
    "Make as UNDEFINED": ("main", 0x0110, Entry(UNDEFINED, b"\xff\xfe\0\1raw")),
    "a fraction with the denominator 0": ("exif", 0x920A, rational("<", (1, 0), (0, 0))),
    "no values": ("exif", 0x9003, Entry(ASCII, b"")),
    "UTF-8 of EXIF 3.0": ("exif", 0xA436, Entry(129, "題名".encode() + b"\0")),
}


def photo_with(name: str, image: Image.Image, source: str, orientation: int) -> bytes:
    directory, tag, entry = UNWRITABLE[name]
    tags = Tags(main={0x010F: text("José"), ORIENTATION: integer_entry("<", orientation)})
    getattr(tags, directory)[tag] = entry
    if source == "tiff":
        pixels = pil_to_tensor(image).numpy().transpose(1, 2, 0)
        return encode_tiff(pixels, tags)
    return file_of(image, source, exif=b"Exif\0\0" + write_tags(tags), quality=95)


@pytest.mark.parametrize("source", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("name", UNWRITABLE)
def test_one_bad_tag_costs_no_other_and_not_the_orientation(
    gradient: Gradient, name: str, source: str
) -> None:
    upright = gradient(32, 24)
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    photo = decode(photo_with(name, stored, source, orientation=6))
    assert photo.size == (32, 24)
    assert psnr(photo.pixels, pil_to_tensor(upright)) > 33
    directory, tag, entry = UNWRITABLE[name]
    for image_format in ("jpeg", "png", "webp", "tiff", "avif"):
        data = encode(photo, image_format)
        after = tags_of(data)
        assert after.main[0x010F].data == "José\0".encode()
        assert ORIENTATION not in after.main
        assert opened(data).size == (32, 24)
        if tag != 282 or image_format not in ("jpeg", "tiff"):
            assert values(getattr(after, directory))[tag] == (entry.kind, entry.data)


def test_an_orientation_beside_metadata_that_expand_is_used(gradient: Gradient) -> None:
    """The pixels are read from a file without metadata, the metadata from the whole file."""
    exif = b"Exif\0\0" + write_tags(Tags(main={ORIENTATION: integer_entry("<", 6)}))
    data = file_of(gradient(32, 24), "png", exif=exif)
    bad = struct.pack(">L", 7) + b"iCCP" + b"x\0\0abcd" + bytes(4)
    header = data.index(b"IDAT") - 4
    assert decode(data[:header] + bad + data[header:]).size == (24, 32)


def test_a_resolution_as_text_of_a_tiff_is_read(gradient: Gradient) -> None:
    """Pillow cannot open the file: it multiplies the text by 2.54."""
    tags = Tags(main={282: text("100"), 283: text("50"), 296: integer_entry("<", 3)})
    pixels = pil_to_tensor(gradient(32, 24))
    data = encode_tiff(pixels.numpy().transpose(1, 2, 0), tags)
    with pytest.raises(Image.UnidentifiedImageError):
        opened(data)
    photo = decode(data)
    assert torch.equal(photo.pixels, pixels)
    assert photo.dpi == pytest.approx((254, 127))
    assert opened(encode(photo, "tiff")).info["dpi"] == pytest.approx((254, 127))


def test_a_stale_size_of_a_turned_photo_is_updated() -> None:
    photo = decode(camera_photo())
    tags = tags_of(encode(photo, "jpeg"))
    size = [integers(tags.exif[tag], tags.order) for tag in (0xA002, 0xA003)]
    assert size == [(24,), (32,)]


def test_exif_says_srgb_and_has_no_place_in_pixels_after_turning() -> None:
    tags = tags_of(encode(decode(camera_photo()), "png"))
    assert integers(tags.exif[0xA001], tags.order) == (1,)
    assert not {0x9102, 0x9214, 0xA301, 0xA500} & tags.exif.keys()
    assert not tags.interop
    exif = b"Exif\0\0" + write_tags(Tags(exif={0x9214: integer_entry("<", 3, 4)}))
    photo = Photo(torch.zeros(3, 6, 8, dtype=torch.uint8), exif=exif)
    assert photo.with_pixels(photo.pixels).exif == exif
    assert photo.with_pixels(torch.zeros(3, 12, 16, dtype=torch.uint8)).exif is None


def test_without_place_only_known_tags_are_kept() -> None:
    exif = decode(camera_photo()).exif
    tags = parse_exif(exif_without_place(exif))
    assert not tags.gps
    assert tags.main[0x013B] == parse_exif(exif).main[0x013B]._replace(
        place=tags.main[0x013B].place
    )
    for absent in (0xC0DE, 0x013C):  # a private tag, the name of a computer
        assert absent not in tags.main
    assert not {MAKER_NOTE, 0x9400} & tags.exif.keys()
    assert {0x829A, 0x9003, 0x9286, 0xA434} <= tags.exif.keys()


@pytest.mark.parametrize("image_format", FORMATS)
def test_geotiff_and_unknown_tags_are_dropped(gradient: Gradient, image_format: str) -> None:
    geo = {tag: Entry(DOUBLE, struct.pack("<6d", *range(6))) for tag in (33550, 33922, 34264)}
    geo |= {34735: integer_entry("<", 1, 1, 0, 0), 34737: text("Zürich|"), 42112: text("<x/>")}
    pixels = pil_to_tensor(gradient(32, 24)).numpy().transpose(1, 2, 0)
    photo = decode(encode_tiff(pixels, Tags(main={0x010F: text("Cam"), **geo})))
    assert geo.keys() <= tags_of(encode(photo, image_format)).main.keys()
    assert not geo.keys() & tags_of(encode(photo, image_format, keep_gps=False)).main.keys()
    large = photo.with_pixels(torch.zeros(3, 48, 64, dtype=torch.uint8))
    assert not {33550, 33922, 34264} & tags_of(encode(large, image_format)).main.keys()


def test_directories_that_refer_to_themselves_are_read_once() -> None:
    pointers = {tag: long_entry("<", 8) for tag in (EXIF_IFD, 0x8825, 0xA005)}
    data = write_tags(Tags(main={0x010F: text("Cam"), **pointers}))
    tags = read_tags(data)
    assert tags.main[0x010F].data == b"Cam\0"


def test_hostile_tags_take_little_memory() -> None:
    """Five thousand tags refer to the same 65,000 bytes."""
    size = 70_000
    entries = b"".join(
        struct.pack("<HHLL", 40_000 + n, 7, 65_000, size - 65_000) for n in range(5000)
    )
    data = (b"II*\0" + struct.pack("<LH", 8, 5000) + entries).ljust(size, b"\1")
    tags = read_tags(data)
    assert sum(len(entry.data) for entry in tags.main.values()) <= size
    for cut in range(0, 200, 7):
        read_tags(data[:cut])


def test_exif_that_imagemagick_wrote_into_a_png_as_text_is_read(gradient: Gradient) -> None:
    exif = b"Exif\0\0" + write_tags(camera_tags())
    info = PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(exif):8}\n{exif.hex()}\n", zip=True)
    photo = decode(file_of(gradient(32, 24), "png", pnginfo=info))
    assert photo.size == (24, 32)
    assert parse_exif(photo.exif).main[0x013B].data == "José Ñandú\0".encode()
    assert b"Raw profile" not in encode(photo, "png")


def test_the_exif_of_an_avif_that_has_its_own_orientation_is_kept(gradient: Gradient) -> None:
    """Pillow rewrites EXIF if it contradicts the orientation of the container."""
    name = "José Ñandú".encode()
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x013B] = 6, "A" * len(name)
    data = file_of(gradient(32, 24), "avif", exif=exif).replace(b"A" * len(name), name)
    assert name in data
    photo = decode(data)
    assert photo.size == (24, 32)
    assert parse_exif(photo.exif).main[0x013B].data == name + b"\0"
