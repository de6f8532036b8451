"""Files that are damaged or meant to harm: an answer in bounded time and memory, never a crash."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from decode_apart import decode_apart
from image_files import file_of
from mutations import mutations, seed_files
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from stylebeam.transforms.images import tiff
from stylebeam.transforms.images.io import ImageError, Photo, decode, encode
from stylebeam.transforms.images.segments import PNG_SIGNATURE

# Megabytes that no file here may take beyond what the libraries take, and seconds for one.
LARGEST, LONGEST = 300, 10


def picture() -> Image.Image:
    return Image.fromarray(np.arange(30 * 40 * 3, dtype=np.uint8).reshape(30, 40, 3))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def png_with(*chunks: bytes) -> bytes:
    data = file_of(picture(), "png")
    end_of_header = len(PNG_SIGNATURE) + 25
    return data[:end_of_header] + b"".join(chunks) + data[end_of_header:]


def swelling_stream() -> bytes:
    """A zlib stream that inflates to half a stream."""
    compressor = zlib.compressobj(1)
    parts = [compressor.compress(bytes(2**24)) for _ in range(32)]
    return b"".join([*parts, compressor.flush()])


def swelling_exif(size: int) -> bytes:
    """EXIF of thousands of tags that are all the same megabytes."""
    count = 5000
    entries = b"".join(
        struct.pack("<HHLL", 40_000 + number, 7, size - 70_000, 65_000) for number in range(count)
    )
    header = b"II*\0" + struct.pack("<LH", 8, count)
    return (header + entries).ljust(size, b"\1")


def cyclic_exif() -> bytes:
    """Directories of EXIF, GPS and interoperability that are each other, and follow themselves."""
    entries = [(0x8769, 8), (0x8825, 8), (0xA005, 8)]
    packed = b"".join(struct.pack("<HHLL", tag, 4, 1, where) for tag, where in entries)
    return b"II*\0" + struct.pack("<LH", 8, len(entries)) + packed + struct.pack("<L", 8)


def jpeg_with_exif(exif: bytes) -> bytes:
    """A JPEG whose EXIF is spread over as many segments as it takes."""
    data = file_of(picture(), "jpeg")
    pieces = [exif[start : start + 65_000] for start in range(0, len(exif), 65_000)]
    segments = [
        b"\xff\xe1" + struct.pack(">H", len(piece) + 8) + b"Exif\0\0" + piece for piece in pieces
    ]
    return data[:2] + b"".join(segments) + data[2:]


def webp_with(kind: bytes, data: bytes) -> bytes:
    """A WebP with one more chunk at its end."""
    whole = file_of(picture(), "webp", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0", xmp=b"<d/>")
    kept = whole[: whole.index(kind)]
    body = kept[8:] + kind + struct.pack("<L", len(data)) + data + bytes(len(data) % 2)
    return b"RIFF" + struct.pack("<L", len(body)) + body


def avif_with_exif(exif: bytes) -> bytes:
    room = b"II*\0" + struct.pack("<L", 8) + b"\0" * (len(exif) - 8)
    return file_of(picture(), "avif", exif=b"Exif\0\0" + room).replace(room, exif)


SWELLING_XMP = (
    b"<!DOCTYPE d [<!ENTITY a0 'ha'>"
    + b"".join(b"<!ENTITY a%d '%s'>" % (n, b"&a%d;" % (n - 1) * 100) for n in range(1, 9))
    + b"]><d>&a8;</d>"
)


def bombs() -> dict[str, bytes]:
    """Whole photographs with metadata that cost gigabytes or never end."""
    stream = swelling_stream()
    tags = {40_000: 7, 0x8769: 8}
    return {
        "text.png": png_with(*[chunk(b"zTXt", b"Comment\0\0" + stream)] * 3),
        "international.png": png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + stream)),
        "profile.png": png_with(chunk(b"iCCP", b"Adobe RGB\0\0" + stream)),
        "long_xmp.png": png_with(
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<d>" + b"<tiff:Orientation " * 2_000_000)
        ),
        "entities.png": png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + SWELLING_XMP)),
        "tags.png": png_with(chunk(b"eXIf", swelling_exif(10**6))),
        "cycle.png": png_with(chunk(b"eXIf", cyclic_exif())),
        "tags.jpg": jpeg_with_exif(swelling_exif(10**6)),
        "cycle.jpg": jpeg_with_exif(cyclic_exif()),
        "tags.webp": webp_with(b"EXIF", swelling_exif(10**6)),
        "cycle.webp": webp_with(b"EXIF", cyclic_exif()),
        "entities.webp": webp_with(b"XMP ", SWELLING_XMP),
        "cycle.tiff": tiff.encode_tiff(np.asarray(picture()), tags),
        "tags.tiff": swelling_exif(10**6),
        "tags.avif": avif_with_exif(swelling_exif(10**6)),
    }


def test_metadata_that_swell_cost_neither_memory_nor_photo(tmp_path: Path) -> None:
    files = bombs()
    first, *outcomes = decode_apart(files.items(), tmp_path, timeout=120)
    assert len(outcomes) == len(files)
    for outcome in outcomes:
        assert outcome["megabytes"] - first["megabytes"] < LARGEST, outcome
        assert outcome["seconds"] < LONGEST, outcome
    refused = {outcome["name"] for outcome in outcomes if "ImageError" in outcome["result"]}
    # These cannot be taken apart, so that the photo goes with its metadata.
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
    """A TIFF that says its width twice, first this one: readers differ in which they believe."""
    directory = ImageFileDirectory_v2(data[:8])
    [start] = struct.unpack_from("<L", data, 4)
    [count] = struct.unpack_from("<H", data, start)
    entry = struct.pack("<HHLL", tiff.WIDTH, directory.tagtype.get(tiff.WIDTH, 4), 1, width)
    entries = entry + data[start + 2 : start + 2 + 12 * count]
    header = data[:4] + struct.pack("<L", len(data))
    return header + data[8:] + struct.pack("<H", count + 1) + entries + bytes(4)


def lying_files() -> dict[str, bytes]:
    """Files whose header says another size than something else in them."""
    deep_png = encode(Photo(torch.zeros(3, 8, 8, dtype=torch.int32).to(torch.uint16)), "png")
    header = len(PNG_SIGNATURE) + 25
    large = chunk(b"IHDR", struct.pack(">LLBBBBB", 30_000, 30_000, 16, 2, 0, 0, 0))
    return {
        "two_headers.png": deep_png[:header] + large + deep_png[header:],
        "large_chunk.png": deep_png[:header] + struct.pack(">L", 2**31 - 1) + b"IDATxxxxxxxx",
        "two_widths.tiff": second_width(deep_tiff(), 60_000),
        "two_widths_of_8_bits.tiff": second_width(file_of(picture(), "tiff"), 60_000),
        "tile.tiff": deep_tiff(TILE_WIDTH=2**16, TILE_HEIGHT=2**16),
        "rows.tiff": deep_tiff(ROWS_PER_STRIP=2**31),
        "no_strips.tiff": deep_tiff().replace(
            struct.pack("<HH", 273, 4), struct.pack("<HH", 272, 4)
        ),
    }


def test_files_that_lie_about_their_size_take_no_memory(tmp_path: Path) -> None:
    first, *outcomes = decode_apart(lying_files().items(), tmp_path, timeout=60)
    assert len(outcomes) == len(lying_files())
    for outcome in outcomes:
        assert outcome["megabytes"] - first["megabytes"] < LARGEST, outcome
        assert outcome["seconds"] < LONGEST, outcome


@pytest.mark.parametrize("name", seed_files())
def test_too_many_pixels_are_refused(name: str) -> None:
    data = seed_files()[name]
    assert sorted(decode(data, max_pixels=47 * 33).size) == [33, 47]
    with pytest.raises(ImageError, match=rf"more than max_pixels \({47 * 33 - 1}\)"):
        decode(data, max_pixels=47 * 33 - 1)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read")
@pytest.mark.parametrize("name", seed_files())
def test_a_file_that_ends_early_is_no_photo(name: str) -> None:
    data = seed_files()[name]
    # Two of them hold a second image, behind the first.
    most = {"phone.jpg": 0.4, "animated.gif": 0.08}.get(name, 0.9)
    for kept in (most, most / 2, 0.05):
        with pytest.raises(ImageError, match=r"damaged|known kind") as raised:
            decode(data[: int(kept * len(data))])
        assert str(raised.value).endswith(".")


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "gif", "avif"])
def test_a_file_whose_rest_is_zeros_is_no_photo(image_format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    data = file_of(Image.fromarray(noise), image_format)
    half = len(data) // 2
    with pytest.raises(ImageError, match="damaged"):
        decode(data[:half] + bytes(len(data) - half))


def test_mutations_are_the_same_for_the_same_seed() -> None:
    assert list(mutations(60, seed=3)) == list(mutations(60, seed=3))
    assert list(mutations(60, seed=3)) != list(mutations(60, seed=4))


def test_a_thousand_damaged_files_are_photos_or_image_errors(tmp_path: Path) -> None:
    first, *outcomes = decode_apart(mutations(1200), tmp_path, timeout=120)
    assert len(outcomes) == 1200, f"the process ended after {outcomes[-1]}"
    for outcome in outcomes:
        assert outcome["seconds"] < LONGEST, outcome
        assert outcome["megabytes"] - first["megabytes"] < LARGEST, outcome
    failures = sum("ImageError" in outcome["result"] for outcome in outcomes)
    assert 300 < failures < 1000, "some damage shows, some does not"
