"""Damaged image files of all formats, reproducible by a seed."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice

import numpy as np
import torch
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.formats import FORMATS
from stylebeam.transforms.images.photo import Photo
from stylebeam.transforms.images.segments import PNG_SIGNATURE, jpeg_segments, png_chunks
from tests.helpers.camera_photo import camera_photo

Piece = tuple[int, int, int, int]
"""Start and end of a part of a file, and the offset and size in bytes of its length field."""

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
    b' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    b' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"'
    b' xmlns:dc="http://purl.org/dc/elements/1.1/" tiff:Orientation="6"'
    b' exif:GPSLatitude="47,59.5N"><exif:GPSLongitude>7,50.1E</exif:GPSLongitude>'
    b"<dc:rights>Ann</dc:rights></rdf:Description></rdf:RDF></x:xmpmeta>"
)
"""XMP of a rotated photo with GPS coordinates."""


def mutations(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield damaged image files, cycling through the formats.

    Args:
        count: number of files.
        seed: seed of the random damage.

    Yields:
        A file name with the format and the kind of damage, and the file's contents.
    """
    rng = random.Random(seed)
    whole = list(seed_files().items())
    for number in range(count):
        name, data = whole[number % len(whole)]
        mutate = rng.choice(_MUTATORS)
        damaged = mutate(rng, data)
        if rng.random() < 0.5:
            damaged = _with_correct_checksums(damaged)
        stem, extension = name.rsplit(".", 1)
        yield f"{number:05d}_{stem}_{mutate.__name__}.{extension}", damaged


@cache
def seed_files() -> dict[str, bytes]:
    """Return small valid image files by name: every format, many with metadata."""
    rgb = _rgb_image()
    alpha = rgb.copy()
    alpha.putalpha(Image.linear_gradient("L").resize(rgb.size))
    deep = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Camera", 6
    exif[0x8825], exif[0x8769] = {1: "N", 2: (47.0, 59.0, 30.0)}, {0x829A: 0.25}
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    everything = {"exif": exif.tobytes(), "icc_profile": icc, "xmp": XMP}
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    text.add_text("Comment", "a lake", zip=True)
    in_png = {"exif": exif.tobytes(), "icc_profile": icc, "pnginfo": text, "dpi": (300, 300)}
    sixteen = Photo(_sixteen_bit_pixels(), exif=exif.tobytes(), icc_profile=icc, xmp=XMP)
    files = {
        "baseline.jpg": _file(rgb, "jpeg", **everything),
        "progressive.jpg": _file(rgb, "jpeg", progressive=True, restart_marker_rows=1),
        "cmyk.jpg": _file(rgb.convert("CMYK"), "jpeg"),
        "phone.jpg": _file(rgb, "mpo", save_all=True, append_images=[rgb], exif=exif.tobytes()),
        "plain.png": _file(alpha, "png", **in_png),
        "palette.png": _file(rgb.quantize(16), "png", transparency=3),
        "deep_gray.png": _file(deep, "png"),
        "deep.png": encode(sixteen, "png"),
        "lossy.webp": _file(rgb, "webp", **everything),
        "lossless.webp": _file(alpha, "webp", lossless=True),
        "raw.tiff": _file(rgb, "tiff", exif=exif.tobytes()),
        "lzw.tiff": _file(alpha, "tiff", compression="tiff_lzw"),
        "jpeg.tiff": _file(rgb, "tiff", compression="jpeg"),
        "fax.tiff": _file(rgb.convert("1"), "tiff", compression="group4"),
        "deep.tiff": encode(sixteen, "tiff"),
        "animated.gif": _file(rgb.quantize(8), "gif", save_all=True, append_images=[rgb]),
        "plain.bmp": _file(rgb, "bmp"),
        "palette.bmp": _file(rgb.quantize(16), "bmp"),
        "photo.avif": _file(alpha, "avif", **everything),
    }
    files["camera.jpg"] = camera_photo(image=rgb)
    if FORMATS["heif"].is_available:
        files["photo.heic"] = _file(rgb, "heif", **everything)
    return files


def _rgb_image() -> Image.Image:
    y, x = np.mgrid[0:33, 0:47]
    channels = [5 * x, 7 * y, (x * y) % 256]
    return Image.fromarray(np.stack(channels, axis=2).astype(np.uint8))


def _sixteen_bit_pixels() -> torch.Tensor:
    values = np.asarray(_rgb_image()).astype(np.uint16) * 256 + 77
    return torch.from_numpy(values.transpose(2, 0, 1).copy())


def _file(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def _flip_bits(rng: random.Random, data: bytes) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _overwrite(rng: random.Random, data: bytes) -> bytes:
    length = rng.randint(1, min(64, len(data)))
    start = rng.randrange(len(data) - length + 1)
    filling = rng.choice([bytes(length), b"\xff" * length, rng.randbytes(length)])
    return data[:start] + filling + data[start + length :]


def _truncate(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _zero_the_rest(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + bytes(len(data) - start)


def _remove(rng: random.Random, data: bytes) -> bytes:
    start, end, _, _ = rng.choice(_pieces(rng, data))
    return data[:start] + data[end:]


def _duplicate(rng: random.Random, data: bytes) -> bytes:
    start, end, _, _ = rng.choice(_pieces(rng, data))
    return data[:end] + data[start:end] + data[end:]


def _swap(rng: random.Random, data: bytes) -> bytes:
    pieces = _pieces(rng, data)
    first, second = sorted([rng.choice(pieces), rng.choice(pieces)])
    if first[1] > second[0]:
        return data
    middle = data[first[1] : second[0]]
    swapped = data[second[0] : second[1]] + middle + data[first[0] : first[1]]
    return data[: first[0]] + swapped + data[second[1] :]


def _change_a_length(rng: random.Random, data: bytes) -> bytes:
    _, _, place, size = rng.choice(_pieces(rng, data))
    values = [0, 1, 2**31 - 1, 2**32 - 1, 2**16 - 1, rng.randrange(2**32), rng.randrange(64)]
    length = (rng.choice(values) % 2 ** (8 * size)).to_bytes(size, rng.choice(["big", "little"]))
    return data[:place] + length + data[place + size :]


_MUTATORS: list[Callable[[random.Random, bytes], bytes]] = [
    *(_flip_bits, _flip_bits, _overwrite, _truncate, _zero_the_rest),
    *(_remove, _duplicate, _swap, _change_a_length, _change_a_length),
]


def _pieces(rng: random.Random, data: bytes) -> list[Piece]:
    """Return the parts of a file according to its format; random parts for other formats."""
    found: list[Piece] = []
    if data.startswith(PNG_SIGNATURE):
        place = len(PNG_SIGNATURE)
        for _, chunk in png_chunks(data):
            found.append((place, place + len(chunk), place, 4))
            place += len(chunk)
    elif data.startswith(b"\xff\xd8"):
        found = [(start, end, start + 2, 2) for _, start, end in jpeg_segments(data)]
    elif data.startswith(b"RIFF"):
        found = list(_records(data, 12, "<4xL", 8))
    elif data[4:8] == b"ftyp":
        found = list(_records(data, 0, ">L", 0))
    elif data.startswith(b"II*\0"):
        [start] = struct.unpack_from("<L", data, 4)
        [count] = struct.unpack_from("<H", data, start)
        entries = range(start + 2, start + 2 + 12 * count, 12)
        found = [(place, place + 12, place + rng.choice([2, 4, 8]), 4) for place in entries]
    return found or list(islice(_any_pieces(rng, data), 8))


def _records(data: bytes, place: int, length_format: str, header: int) -> Iterator[Piece]:
    """Yield records that start with their length, or with a name and their length."""
    while place + 8 <= len(data):
        [length] = struct.unpack_from(length_format, data, place)
        end = min(place + header + length + (length % 2 if header else 0), len(data))
        if end <= place:
            return
        yield place, end, place + struct.calcsize(length_format) - 4, 4
        place = end


def _any_pieces(rng: random.Random, data: bytes) -> Iterator[Piece]:
    while True:
        start = rng.randrange(len(data) - 8)
        yield start, start + rng.randint(1, 64), start, rng.choice([1, 2, 4])


def _with_correct_checksums(data: bytes) -> bytes:
    """Return a PNG file with correct checksums, so that decoders read the damaged chunks."""
    if not data.startswith(PNG_SIGNATURE):
        return data
    chunks = [
        chunk[:-4] + struct.pack(">L", zlib.crc32(chunk[4:-4])) if len(chunk) >= 12 else chunk
        for _, chunk in png_chunks(data)
    ]
    return b"".join([PNG_SIGNATURE, *chunks])
