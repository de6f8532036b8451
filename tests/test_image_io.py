"""Decoding and encoding: orientation, colour, alpha, depth, metadata, and what is refused."""

import io
from collections.abc import Callable

import pytest
import torch
from PIL import Image, ImageCms
from torchvision.transforms.v2.functional import pil_to_tensor

from transforms.image_io import ImageError, Photo, decode, encode

Gradient = Callable[[int, int], Image.Image]


def file_of(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    error = torch.mean((a.double() - b.double()) ** 2)
    return float(10 * torch.log10(255**2 / error))


@pytest.mark.parametrize("image_format", ["png", "tiff", "bmp"])
def test_lossless_formats_come_back_exactly(gradient: Gradient, image_format: str) -> None:
    photo = Photo(pil_to_tensor(gradient(37, 23)))
    assert torch.equal(decode(encode(photo, image_format)).pixels, photo.pixels)


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_lossy_formats_come_back_nearly_and_obey_quality(
    gradient: Gradient, image_format: str
) -> None:
    photo = Photo(pil_to_tensor(gradient(137, 123)))
    good, poor = encode(photo, image_format, 95), encode(photo, image_format, 20)
    assert psnr(decode(good).pixels, photo.pixels) > 35
    assert len(poor) < len(good)


# What a camera stores, that the tag turns upright: the inverse of what the tag says.
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


@pytest.mark.parametrize("source", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_and_reset(
    gradient: Gradient, orientation: int, source: str
) -> None:
    upright = gradient(30, 20)
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Camera"
    turn = STORED[orientation]
    image = upright if turn is None else upright.transpose(turn)
    photo = decode(file_of(image, source, exif=exif, quality=100))
    assert photo.size == (30, 20)
    assert psnr(photo.pixels, pil_to_tensor(upright)) > 35
    for image_format in ("jpeg", "png", "webp", "tiff"):
        written = Image.open(io.BytesIO(encode(photo, image_format))).getexif()
        assert written.get(0x0112, 1) == 1
        assert written[0x010F] == "Camera"


@pytest.mark.parametrize("source", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "tiff"])
def test_gps_and_exposure_are_carried_over(
    gradient: Gradient, source: str, image_format: str
) -> None:
    exif = Image.Exif()
    exif[0x8825] = {1: "N"}
    exif[0x8769] = {0x829A: 0.25}
    options = {"compression": "raw"} if source == "tiff" else {}
    photo = decode(file_of(gradient(8, 8), source, exif=exif.tobytes(), **options))
    encoded = encode(photo, image_format)
    written = Image.open(io.BytesIO(encoded)).getexif()
    assert written.get_ifd(0x8825)[1] == "N"
    assert written.get_ifd(0x8769)[0x829A] == 0.25
    assert decode(encoded).size == (8, 8)


def test_tags_of_a_tiff_about_its_own_pixels_are_left_behind(gradient: Gradient) -> None:
    data = file_of(gradient(300, 200), "tiff", compression="tiff_lzw", description="A lake")
    written = Image.open(io.BytesIO(encode(decode(data), "jpeg"))).getexif()
    assert dict(written) == {270: "A lake"}


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\0" * 40])
def test_damaged_exif_does_not_cost_the_photograph(gradient: Gradient, exif: bytes) -> None:
    image = gradient(30, 20)
    photo = decode(file_of(image, "png", exif=exif))
    assert torch.equal(photo.pixels, pil_to_tensor(image))


def test_exif_too_long_for_a_jpeg_does_not_cost_the_photograph(gradient: Gradient) -> None:
    exif = Image.Exif()
    exif[270] = "long " * 20_000
    photo = decode(file_of(gradient(30, 20), "png", exif=exif))
    assert decode(encode(photo, "jpeg")).size == (30, 20)
    assert Image.open(io.BytesIO(encode(photo, "webp"))).getexif()[270].startswith("long long")


@pytest.mark.parametrize("image_format", ["png", "webp", "tiff"])
def test_alpha_is_kept(gradient: Gradient, image_format: str) -> None:
    image = gradient(20, 10)
    alpha = Image.linear_gradient("L").resize((20, 10))
    image.putalpha(alpha)
    photo = decode(file_of(image, "png"))
    assert photo.alpha is not None
    assert torch.equal(photo.alpha, pil_to_tensor(alpha))
    written = decode(encode(photo, image_format, 100))
    assert torch.equal(written.alpha, photo.alpha)


def test_jpeg_lays_transparency_over_white() -> None:
    photo = decode(file_of(Image.new("RGBA", (16, 16), (0, 0, 0, 0)), "png"))
    assert decode(encode(photo, "jpeg")).pixels.min() > 250


def test_transparency_of_a_palette_is_alpha() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((0, 0), 0)
    photo = decode(file_of(image, "gif", transparency=0))
    assert photo.alpha[0, 0, 0] == 0
    assert photo.alpha[0, 3, 3] == 255
    assert photo.pixels[:, 3, 3].tolist() == [0, 0, 255]


def test_gray_bilevel_and_cmyk_become_rgb() -> None:
    assert decode(file_of(Image.new("L", (3, 2), 77), "png")).pixels.unique().tolist() == [77]
    assert decode(file_of(Image.new("1", (3, 2), 1), "png")).pixels.unique().tolist() == [255]
    cyan = decode(file_of(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "tiff"))
    assert cyan.pixels[:, 0, 0].tolist() == [0, 255, 255]


def test_sixteen_bit_gray_is_scaled_not_clipped() -> None:
    image = Image.new("I;16", (2, 1))
    image.putpixel((0, 0), 0x8080)
    image.putpixel((1, 0), 0xFFFF)
    assert decode(file_of(image, "png")).pixels[0, 0].tolist() == [0x80, 0xFF]


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_a_colour_profile_is_converted_to_srgb(mode: str) -> None:
    """In linear light 55 of 255 is the middle gray that sRGB writes as 128."""
    color = {"L": 55, "LA": (55, 200), "I;16": 55 * 257}[mode]
    image = Image.new(mode, (8, 8), color)
    photo = decode(file_of(image, "png", icc_profile=_linear_gray_profile()))
    assert abs(int(photo.pixels[0, 0, 0]) - 128) <= 1
    embedded = Image.open(io.BytesIO(encode(photo, "jpeg"))).info["icc_profile"]
    described = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(embedded)))
    assert "sRGB" in described


def test_a_damaged_colour_profile_is_ignored(gradient: Gradient) -> None:
    image = gradient(9, 9)
    photo = decode(file_of(image, "png", icc_profile=b"not a profile"))
    assert torch.equal(photo.pixels, pil_to_tensor(image))


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (6, 6), color) for color in ("red", "blue")]
    data = file_of(frames[0], "gif", save_all=True, append_images=frames[1:])
    assert decode(data).pixels[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "empty"), (b"Dear diary,\n" * 30, "not an image of a known kind")],
)
def test_what_is_no_image_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode(data)


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(ImageError, match="floating-point"):
        decode(file_of(Image.new("F", (3, 3), 0.5), "tiff"))


def test_postscript_is_not_handed_to_another_program(
    gradient: Gradient, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = file_of(gradient(9, 9), "eps")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *args: pytest.fail("it ran"))
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
    # A limit above Pillow's own of 179 million is obeyed too.
    assert decode(data, max_pixels=200_000_000).size == (20_000, 10_000)


def test_an_image_too_large_for_its_format_is_refused() -> None:
    photo = Photo(torch.zeros(3, 1, 70_000, dtype=torch.uint8))
    with pytest.raises(ImageError, match="70000x1 pixels cannot be written as jpeg"):
        encode(photo, "jpeg")


def _linear_gray_profile() -> bytes:
    """A minimal ICC profile, version 2, of gray in linear light."""

    def tag(kind: bytes, body: bytes) -> bytes:
        data = kind + bytes(4) + body
        return data + bytes(-len(data) % 4)

    def s15(value: float) -> bytes:
        return round(value * 65536).to_bytes(4, "big")

    white = s15(0.9642) + s15(1.0) + s15(0.8249)
    tags = {
        b"desc": tag(b"desc", (7).to_bytes(4, "big") + b"linear\0" + bytes(78)),
        b"wtpt": tag(b"XYZ ", white),
        b"kTRC": tag(b"curv", bytes(4)),
    }
    offset = 128 + 4 + 12 * len(tags)
    table, bodies = len(tags).to_bytes(4, "big"), b""
    for name, body in tags.items():
        table += name + (offset + len(bodies)).to_bytes(4, "big") + len(body).to_bytes(4, "big")
        bodies += body
    header = bytearray(128)
    header[0:4] = (offset + len(bodies)).to_bytes(4, "big")
    header[8:12] = bytes([2, 16, 0, 0])
    header[12:24] = b"mntrGRAYXYZ "
    header[36:40] = b"acsp"
    header[68:80] = white
    return bytes(header) + table + bodies
