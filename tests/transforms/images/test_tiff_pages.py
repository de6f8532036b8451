"""Tests of TIFF files with several pages: the photo is read, not its thumbnail."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.directories import Tags, integer_entry
from stylebeam.transforms.images.tiff import encode_tiff
from stylebeam.transforms.images.tiff_pages import photo_first

PHOTO, THUMBNAIL = (60, 40), (15, 10)


def pages(*kinds: dict[int, int], big: bool = False, photo: bool = True) -> bytes:
    """Return a TIFF file of red thumbnails, each with its tags, and then of a blue photo."""
    images = [(Image.new("RGB", THUMBNAIL, "red"), tags) for tags in kinds]
    if photo:
        images.append((Image.new("RGB", PHOTO, "blue"), {}))
    for image, tags in images:
        # Pillow takes the tags of each page from here.
        image.encoderinfo = {"tiffinfo": TiffImagePlugin.ImageFileDirectory_v2()}
        image.encoderinfo["tiffinfo"].update(tags)
    [first, *rest] = [image for image, _ in images]
    buffer = io.BytesIO()
    tags = first.encoderinfo["tiffinfo"]
    first.save(buffer, "TIFF", save_all=True, append_images=rest, tiffinfo=tags, big_tiff=big)
    return buffer.getvalue()


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    "thumbnails", [[{254: 1}], [{255: 2}], [{254: 1}, {254: 1}], [{254: 1}, {254: 4}]]
)
def test_a_thumbnail_before_the_photo_is_skipped(
    thumbnails: list[dict[int, int]], big: bool
) -> None:
    photo = decode(pages(*thumbnails, big=big))
    assert photo.size == PHOTO
    assert photo.pixels[:, 0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("tags", [{}, {254: 0}, {254: 2}, {255: 1}, {255: 3}])
def test_the_first_page_of_a_document_is_read(tags: dict[int, int]) -> None:
    data = pages(tags)
    assert photo_first(data) is data
    assert decode(data).size == THUMBNAIL


def test_a_thumbnail_without_a_photo_is_read() -> None:
    data = pages({254: 1}, photo=False)
    assert photo_first(data) is data
    assert decode(data).size == THUMBNAIL


def test_a_photo_of_sixteen_bits_after_its_thumbnail_is_read() -> None:
    """Its pages are put together by hand, in a file in which the thumbnail comes first."""
    values = np.arange(60 * 40 * 3, dtype=np.uint16).reshape(40, 60, 3) * 9
    photo = encode_tiff(values, Tags())
    thumbnail = encode_tiff(
        np.zeros((10, 15, 3), np.uint8), Tags(main={254: integer_entry("<", 1)})
    )
    [start] = struct.unpack_from("<L", thumbnail, 4)
    [count] = struct.unpack_from("<H", thumbnail, start)
    after = start + 2 + 12 * count
    place = len(photo)
    moved = bytearray(thumbnail)
    for tag in range(start + 2, after, 12):
        number, kind, length, value = struct.unpack_from("<HHLL", moved, tag)
        if number == 273 or length * {3: 2, 4: 4}[kind] > 4:
            struct.pack_into("<L", moved, tag + 8, value + place)
    struct.pack_into("<L", moved, after, struct.unpack_from("<L", photo, 4)[0])
    data = photo[:4] + struct.pack("<L", place + start) + photo[8:] + bytes(moved)
    with Image.open(io.BytesIO(data)) as first:
        assert first.size == THUMBNAIL
    read = decode(data)
    assert np.array_equal(read.pixels.permute(1, 2, 0).numpy(), values)


def test_damaged_pages_are_left_to_the_decoder() -> None:
    data = pages({254: 1})
    for cut in range(8, len(data), 7):
        assert photo_first(data[:cut])[8:] == data[8:cut]
    [start] = struct.unpack_from("<L", data, 4)
    many = data[:start] + b"\xff\xff" + data[start + 2 :]
    assert photo_first(many) is many
    [count] = struct.unpack_from("<H", data, start)
    after = start + 2 + 12 * count
    circle = data[:after] + data[4:8] + data[after + 4 :]
    assert photo_first(circle) is circle
    assert photo_first(b"II+\0") == b"II+\0"
