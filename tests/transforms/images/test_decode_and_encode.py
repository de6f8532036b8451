"""Round trips of decode and encode, and files that are refused."""

from collections.abc import Callable

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.formats import ImageError
from stylebeam.transforms.images.photo import Photo
from tests.helpers.image_files import file_of, psnr

Gradient = Callable[[int, int], Image.Image]


@pytest.mark.parametrize("image_format", ["png", "tiff", "bmp"])
def test_lossless_formats_keep_pixels_exactly(gradient: Gradient, image_format: str) -> None:
    photo = Photo(pil_to_tensor(gradient(37, 23)))
    assert torch.equal(decode(encode(photo, image_format)).pixels, photo.pixels)


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_lossy_formats_keep_pixels_approximately_and_use_quality(
    gradient: Gradient, image_format: str
) -> None:
    photo = Photo(pil_to_tensor(gradient(137, 123)))
    good, poor = encode(photo, image_format, 95), encode(photo, image_format, 20)
    assert psnr(decode(good).pixels, photo.pixels) > 35
    assert len(poor) < len(good)


def test_jpeg_shows_transparency_as_white() -> None:
    photo = decode(file_of(Image.new("RGBA", (16, 16), (0, 0, 0, 0)), "png"))
    assert decode(encode(photo, "jpeg")).pixels.min() > 250


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "empty"), (b"Dear diary,\n" * 30, "not an image of a known kind")],
)
def test_files_that_are_not_images_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode(data)


def test_postscript_is_not_passed_to_ghostscript(
    gradient: Gradient, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = file_of(gradient(9, 9), "eps")
    monkeypatch.setattr(
        "PIL.EpsImagePlugin.Ghostscript", lambda *args: pytest.fail("it was started")
    )
    with pytest.raises(ImageError, match="known kind"):
        decode(data)


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "tiff", "bmp", "gif"])
def test_a_truncated_image_is_refused(gradient: Gradient, image_format: str) -> None:
    data = file_of(gradient(300, 200), image_format)
    with pytest.raises(ImageError, match=r"damaged|known kind"):
        decode(data[: len(data) // 2])


def test_too_many_pixels_are_refused_before_decoding() -> None:
    data = file_of(Image.new("1", (20_000, 10_000)), "png")
    with pytest.raises(ImageError, match=r"more than max_pixels \(1000000\)"):
        decode(data, max_pixels=1_000_000)
    with pytest.raises(ImageError, match=r"20000x10000 pixels, more than max_pixels \(150000000\)"):
        decode(data, max_pixels=150_000_000)
    # This limit is higher than Pillow's own of 179 million.
    assert decode(data, max_pixels=200_000_000).size == (20_000, 10_000)


def test_an_image_too_large_for_its_format_is_refused() -> None:
    photo = Photo(torch.zeros(3, 1, 70_000, dtype=torch.uint8))
    with pytest.raises(ImageError, match="70000x1 pixels cannot be written as jpeg: a side may"):
        encode(photo, "jpeg")


def test_a_jpeg_larger_than_its_decoder_reads_is_refused() -> None:
    data = bytearray(file_of(Image.new("RGB", (16, 16)), "jpeg"))
    size = data.index(b"\xff\xc0") + 5
    data[size : size + 4] = b"\x00\x10\xff\xff"
    with pytest.raises(ImageError, match="65535x16 pixels: decoders read at most 65500 a side"):
        decode(bytes(data))


def test_a_tiff_file_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stylebeam.transforms.images.tiff._LARGEST_FILE", 10)
    with pytest.raises(ImageError, match="would be larger than 4 GiB, the limit of TIFF"):
        encode(Photo(torch.zeros(3, 8, 8, dtype=torch.uint8)), "tiff")


def test_a_16_bit_png_has_a_largest_side(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImageError, match="a side may have at most 1000000 pixels"):
        encode(Photo(torch.zeros(3, 1, 1_000_001, dtype=torch.uint16)), "png")
    assert capfd.readouterr().err == ""


def test_the_bytes_of_an_avif_do_not_depend_on_the_number_of_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (3, 300, 600), dtype=torch.uint8, generator=generator)
    files = set()
    for cores in (1, 2, 16):
        monkeypatch.setattr("PIL.AvifImagePlugin._get_default_max_threads", lambda n=cores: n)
        files.add(encode(Photo(pixels), "avif", 30))
    assert len(files) == 1
