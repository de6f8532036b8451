"""Damaged and malicious files are decoded or refused, without crashes and with limited memory."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from stylebeam.transforms.images import tiff
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.directories import Tags, long_entry
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.formats import ImageError
from stylebeam.transforms.images.photo import Photo
from stylebeam.transforms.images.segments import PNG_SIGNATURE
from tests.helpers.image_files import file_of
from tests.helpers.mutations import mutations, seed_files
from tests.helpers.subprocess_decoding import decode_in_subprocess

# Megabytes that decoding a file may take, in addition to the libraries.
MOST_MEMORY = 300


def small_image() -> Image.Image:
    return Image.fromarray(np.arange(30 * 40 * 3, dtype=np.uint8).reshape(30, 40, 3))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def png_with(*chunks: bytes) -> bytes:
    data = file_of(small_image(), "png")
    end_of_header = len(PNG_SIGNATURE) + 25
    return data[:end_of_header] + b"".join(chunks) + data[end_of_header:]


def expanding_stream() -> bytes:
    """Return a zlib stream that expands to half a gigabyte."""
    compressor = zlib.compressobj(1)
    parts = [compressor.compress(bytes(2**24)) for _ in range(32)]
    return b"".join([*parts, compressor.flush()])


def expanding_exif(size: int) -> bytes:
    """Return EXIF with thousands of tags that share the same megabytes as their value."""
    count = 5000
    entries = b"".join(
        struct.pack("<HHLL", 40_000 + number, 7, size - 70_000, 65_000) for number in range(count)
    )
    header = b"II*\0" + struct.pack("<LH", 8, count)
    return (header + entries).ljust(size, b"\1")


def cyclic_exif() -> bytes:
    """Return EXIF whose EXIF, GPS and interoperability directories all point to the first one."""
    entries = [(0x8769, 8), (0x8825, 8), (0xA005, 8)]
    packed = b"".join(struct.pack("<HHLL", tag, 4, 1, where) for tag, where in entries)
    return b"II*\0" + struct.pack("<LH", 8, len(entries)) + packed + struct.pack("<L", 8)


def jpeg_with_exif(exif: bytes) -> bytes:
    """Return a JPEG file with EXIF in as many segments as it needs."""
    data = file_of(small_image(), "jpeg")
    pieces = [exif[start : start + 65_000] for start in range(0, len(exif), 65_000)]
    segments = [
        b"\xff\xe1" + struct.pack(">H", len(piece) + 8) + b"Exif\0\0" + piece for piece in pieces
    ]
    return data[:2] + b"".join(segments) + data[2:]


def webp_with(kind: bytes, data: bytes) -> bytes:
    """Return a WebP file with one more chunk at its end."""
    whole = file_of(small_image(), "webp", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0", xmp=b"<d/>")
    kept = whole[: whole.index(kind)]
    body = kept[8:] + kind + struct.pack("<L", len(data)) + data + bytes(len(data) % 2)
    return b"RIFF" + struct.pack("<L", len(body)) + body


def avif_with_exif(exif: bytes) -> bytes:
    room = b"II*\0" + struct.pack("<L", 8) + b"\0" * (len(exif) - 8)
    return file_of(small_image(), "avif", exif=b"Exif\0\0" + room).replace(room, exif)


EXPANDING_XMP = (
    b"<!DOCTYPE d [<!ENTITY a0 'ha'>"
    + b"".join(b"<!ENTITY a%d '%s'>" % (n, b"&a%d;" % (n - 1) * 100) for n in range(1, 9))
    + b"]><d>&a8;</d>"
)


def bombs() -> dict[str, bytes]:
    """Return valid photos with metadata that expand to gigabytes or contain cycles."""
    stream = expanding_stream()
    tags = Tags(main={40_000: long_entry("<", 7), 0x8769: long_entry("<", 8)})
    return {
        "text.png": png_with(*[chunk(b"zTXt", b"Comment\0\0" + stream)] * 3),
        "international.png": png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + stream)),
        "profile.png": png_with(chunk(b"iCCP", b"Adobe RGB\0\0" + stream)),
        "long_xmp.png": png_with(
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<d>" + b"<tiff:Orientation " * 2_000_000)
        ),
        "entities.png": png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + EXPANDING_XMP)),
        "tags.png": png_with(chunk(b"eXIf", expanding_exif(10**6))),
        "cycle.png": png_with(chunk(b"eXIf", cyclic_exif())),
        "tags.jpg": jpeg_with_exif(expanding_exif(10**6)),
        "cycle.jpg": jpeg_with_exif(cyclic_exif()),
        "tags.webp": webp_with(b"EXIF", expanding_exif(10**6)),
        "cycle.webp": webp_with(b"EXIF", cyclic_exif()),
        "entities.webp": webp_with(b"XMP ", EXPANDING_XMP),
        "cycle.tiff": tiff.encode_tiff(np.asarray(small_image()), tags),
        "tags.tiff": expanding_exif(10**6),
        "tags.avif": avif_with_exif(expanding_exif(10**6)),
    }


@pytest.mark.slow
def test_metadata_that_expand_are_ignored_without_using_memory(tmp_path: Path) -> None:
    files = bombs()
    first, *outcomes = decode_in_subprocess(files.items(), tmp_path, timeout=120)
    assert len(outcomes) == len(files)
    for outcome in outcomes:
        assert outcome["megabytes"] - first["megabytes"] < MOST_MEMORY, outcome
    refused = {outcome["name"] for outcome in outcomes if "ImageError" in outcome["result"]}
    # We cannot remove the metadata of these formats, so they are refused.
    assert refused == {"tags.webp", "tags.tiff", "tags.avif"}
    assert {outcome["result"] for outcome in outcomes if outcome["name"] not in refused} == {
        "40x30"
    }


def deep_tiff(**changes: object) -> bytes:
    pixels = np.arange(8 * 8 * 3, dtype="<u2").reshape(8, 8, 3)
    tags = {
        **{tiff.WIDTH: 8, tiff.HEIGHT: 8, tiff.BITS: (16, 16, 16), tiff.COMPRESSION: 1},
        **{tiff.PHOTOMETRIC: 2, tiff.SAMPLES: 3, tiff.ROWS_PER_STRIP: 8},
        **{getattr(tiff, name): value for name, value in changes.items()},
    }
    return tiff.tiff_file(tags, [pixels.tobytes()])


def second_width(data: bytes, width: int) -> bytes:
    """Return a TIFF file with two widths, this one first. Decoders differ in which they use."""
    directory = ImageFileDirectory_v2(data[:8])
    [start] = struct.unpack_from("<L", data, 4)
    [count] = struct.unpack_from("<H", data, start)
    entry = struct.pack("<HHLL", tiff.WIDTH, directory.tagtype.get(tiff.WIDTH, 4), 1, width)
    entries = entry + data[start + 2 : start + 2 + 12 * count]
    header = data[:4] + struct.pack("<L", len(data))
    return header + data[8:] + struct.pack("<H", count + 1) + entries + bytes(4)


def contradictory_files() -> dict[str, bytes]:
    """Return files that give contradictory sizes."""
    deep_png = encode(Photo(torch.zeros(3, 8, 8, dtype=torch.int32).to(torch.uint16)), "png")
    header = len(PNG_SIGNATURE) + 25
    large = chunk(b"IHDR", struct.pack(">LLBBBBB", 30_000, 30_000, 16, 2, 0, 0, 0))
    return {
        "two_headers.png": deep_png[:header] + large + deep_png[header:],
        "large_chunk.png": deep_png[:header] + struct.pack(">L", 2**31 - 1) + b"IDATxxxxxxxx",
        "two_widths.tiff": second_width(deep_tiff(), 60_000),
        "two_widths_of_8_bits.tiff": second_width(file_of(small_image(), "tiff"), 60_000),
        "tile.tiff": deep_tiff(TILE_WIDTH=2**16, TILE_HEIGHT=2**16),
        "rows.tiff": deep_tiff(ROWS_PER_STRIP=2**31),
        "no_strips.tiff": deep_tiff().replace(
            struct.pack("<HH", 273, 4), struct.pack("<HH", 272, 4)
        ),
    }


@pytest.mark.slow
def test_files_with_contradictory_sizes_use_little_memory(tmp_path: Path) -> None:
    first, *outcomes = decode_in_subprocess(contradictory_files().items(), tmp_path, timeout=60)
    assert len(outcomes) == len(contradictory_files())
    for outcome in outcomes:
        assert outcome["megabytes"] - first["megabytes"] < MOST_MEMORY, outcome


@pytest.mark.parametrize("name", seed_files())
def test_too_many_pixels_are_refused(name: str) -> None:
    data = seed_files()[name]
    assert sorted(decode(data, max_pixels=47 * 33).size) == [33, 47]
    with pytest.raises(ImageError, match=rf"more than max_pixels \({47 * 33 - 1}\)"):
        decode(data, max_pixels=47 * 33 - 1)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read")
@pytest.mark.parametrize("name", seed_files())
def test_a_truncated_file_is_refused(name: str) -> None:
    data = seed_files()[name]
    # Two of the files contain a second image after the first.
    most = {"phone.jpg": 0.4, "animated.gif": 0.08}.get(name, 0.9)
    for kept in (most, most / 2, 0.05):
        with pytest.raises(ImageError, match=r"damaged|known kind") as raised:
            decode(data[: int(kept * len(data))])
        assert str(raised.value).endswith(".")


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "gif", "avif"])
def test_a_file_that_ends_in_zeros_is_refused(image_format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    data = file_of(Image.fromarray(noise), image_format)
    half = len(data) // 2
    with pytest.raises(ImageError, match="damaged"):
        decode(data[:half] + bytes(len(data) - half))


def test_mutations_depend_only_on_the_seed() -> None:
    assert list(mutations(60, seed=3)) == list(mutations(60, seed=3))
    assert list(mutations(60, seed=3)) != list(mutations(60, seed=4))


@pytest.mark.slow
def test_damaged_files_are_decoded_or_raise_image_errors(tmp_path: Path) -> None:
    first, *outcomes = decode_in_subprocess(mutations(1200), tmp_path, timeout=120)
    assert len(outcomes) == 1200, f"the process crashed after {outcomes[-1]}"
    for outcome in outcomes:
        assert outcome["megabytes"] - first["megabytes"] < MOST_MEMORY, outcome
    failures = sum("ImageError" in outcome["result"] for outcome in outcomes)
    assert 300 < failures < 1000, "some files are decoded and some are refused"
