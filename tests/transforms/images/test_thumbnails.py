"""Thumbnails of image files."""

import struct
import tracemalloc
from collections.abc import Callable

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.formats import ImageError
from stylebeam.transforms.images.photo import Photo
from stylebeam.transforms.images.thumbnails import thumbnail
from tests.helpers.image_files import file_of, psnr

Gradient = Callable[[int, int], Image.Image]


def reduced(image: Image.Image, size: tuple[int, int]) -> torch.Tensor:
    return pil_to_tensor(image.resize(size, Image.Resampling.LANCZOS))


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "tiff", "bmp", "avif"])
def test_a_thumbnail_fits_into_its_box(image_format: str, gradient: Gradient) -> None:
    photo = gradient(1600, 1200)
    small = thumbnail(file_of(photo, image_format), (400, 400))
    assert (small.mode, small.size) == ("RGB", (400, 300))
    assert psnr(pil_to_tensor(small), reduced(photo, (400, 300))) > 35


def test_a_small_image_keeps_its_size(gradient: Gradient) -> None:
    for image_format in ("jpeg", "png"):
        assert thumbnail(file_of(gradient(40, 30), image_format), (400, 400)).size == (40, 30)


@pytest.mark.parametrize("image_format", ["jpeg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_thumbnail_is_upright(orientation: int, image_format: str, gradient: Gradient) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = file_of(gradient(1600, 1000), image_format, exif=exif)
    small = thumbnail(data, (400, 200))
    upright = decode(data).pixels.permute(1, 2, 0).numpy()
    assert small.size == ((320, 200) if orientation < 5 else (125, 200))
    assert psnr(pil_to_tensor(small), reduced(Image.fromarray(upright), small.size)) > 35


def test_a_jpeg_is_decoded_at_an_eighth_of_its_size(
    gradient: Gradient, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = []
    load = Image.Image.thumbnail
    monkeypatch.setattr(
        Image.Image,
        "thumbnail",
        lambda image, *args: (largest.append(image.size), load(image, *args))[1],
    )
    assert thumbnail(file_of(gradient(4000, 3200), "jpeg"), (200, 200)).size == (200, 160)
    assert largest == [(500, 400)]


def test_sixteen_bits_and_transparency() -> None:
    pixels = torch.full((3, 30, 40), 257 * 90, dtype=torch.int32).to(torch.uint16)
    small = thumbnail(encode(Photo(pixels), "png"), (20, 20))
    assert (small.mode, small.size, small.getpixel((0, 0))) == ("RGB", (20, 15), (90, 90, 90))
    clear = Image.new("RGBA", (40, 30), (90, 90, 90, 128))
    small = thumbnail(file_of(clear, "png"), (20, 20))
    assert small.mode == "RGBA"
    assert small.getpixel((0, 0)) == pytest.approx((90, 90, 90, 128), abs=1)


def test_cmyk_is_converted_to_rgb() -> None:
    small = thumbnail(file_of(Image.new("CMYK", (40, 30), (0, 255, 255, 0)), "jpeg"), (20, 20))
    red, green, blue = small.getpixel((5, 5))
    assert red > 200
    assert max(green, blue) < 60


def test_files_that_cannot_be_read_raise_image_errors(gradient: Gradient) -> None:
    data = file_of(gradient(64, 48), "jpeg")
    for wrong, reason in [
        (b"", "empty"),
        (b"no image", "known kind"),
        (data[: len(data) // 2], "damaged"),
    ]:
        with pytest.raises(ImageError, match=reason):
            thumbnail(wrong, (20, 20))
    with pytest.raises(ImageError, match=r"more than max_pixels \(3000\)"):
        thumbnail(data, (20, 20), max_pixels=3000)


@pytest.mark.filterwarnings("ignore:Truncated File Read")
def test_damaged_metadata_are_ignored() -> None:
    # A thousand tags with the same bytes as their value, and one whose value is beyond the end.
    repeated = b"".join(struct.pack("<HHLL", 40_000 + n, 7, 20_000, 12_010) for n in range(1000))
    repeating = b"II*\0" + struct.pack("<LH", 8, 1000) + repeated + bytes(30_000)
    damaged = b"II*\0" + struct.pack("<LHHHLL", 8, 1, 0x0112, 2, 2**30, 2**30)
    for exif in (repeating, damaged):
        data = file_of(Image.new("RGB", (40, 30)), "jpeg", exif=b"Exif\0\0" + exif)
        tracemalloc.start()
        assert thumbnail(data, (20, 20)).size == (20, 15)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2e6


def test_a_thumbnail_has_no_metadata(gradient: Gradient) -> None:
    assert thumbnail(file_of(gradient(40, 30), "jpeg", comment=b"at home"), (20, 20)).info == {}
