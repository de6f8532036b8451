"""Prints what becomes of every tag of a photo in every output format, as ExifTool reads it.

python -m benchmarks.metadata_table

Needs ExifTool (Debian: libimage-exiftool-perl). Each tag is kept, changed on purpose, or dropped on
purpose. The exit code is 1 if anything else happens to one.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.formats import FORMATS
from tests.helpers.camera_photo import camera_photo

KEPT, CHANGED, DROPPED, WRONG = "kept", "changed", "dropped", "WRONG"

# Regular expressions of tags, and why they are changed or dropped.
CHANGES = {
    r"ExifIFD:ColorSpace": "the pixels are converted to sRGB",
    r"ExifIFD:ExifImage(Width|Height)": "the photo is turned upright",
}
STALE = {
    r"(IFD0|XMP-tiff):Orientation": "it is applied to the pixels",
    r"ExifIFD:(CompressedBitsPerPixel|Gamma)|InteropIFD:.*": "about the input's file",
    r"ExifIFD:SubjectArea": "the photo is turned, so the place in the image is another",
    r"ExifIFD:SceneType|XMP-iptcExt:DigitalSourceType": "a picture, not what a camera captured",
    r"XMP-(GCamera|Container|GContainer.*):.*": "the video is not copied",
    r"XMP-hdrgm:.*": "the gain map is not copied",
    r"XMP-GDepth:.*": "the depth map is not copied",
}
PLACE = {
    r"GPS:.*|XMP-exif:GPS.*|XMP-drone-dji:.*": "coordinates",
    r"IPTC:(City|Sub-location|Province-State|Country-.*)": "names of places",
    r"XMP-photoshop:(City|Country)|XMP-iptcExt:LocationShown.*": "names of places",
    r"Canon:.*": "a maker note may contain a place",
    r"XMP-GPano:.*": "not known to be without a place (panoramas have headings)",
    r"ExifIFD:AmbientTemperature": "may tell the place",
    r"IFD0:(Exif_0xc0de|HostComputer)": "not known to be without a place",
}
# What formats cannot hold.
MISSING = {
    r"IPTC:.*": ("png", "webp", "avif", "heif", "gif", "bmp"),
    r"Comment": ("webp", "tiff", "avif", "heif", "bmp"),
    r"(?!Comment).*": ("gif", "bmp"),
}
# About the file and its pixels, and what ExifTool computes.
_IGNORED_GROUPS = (
    *("System", "File", "ExifTool", "Composite", "JFIF", "ICC_Profile", "PNG", "PNG-pHYs", "RIFF"),
    *("QuickTime", "Meta", "GIF"),
)


def tags_of(data: bytes, extension: str) -> dict[str, object]:
    """Return a file's tags with their groups, as ExifTool reads them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "photo" + extension)
        path.write_bytes(data)
        command = ["exiftool", "-json", "-G1", "-s", "-n", "-u", "-a", str(path)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    [tags] = json.loads(printed)
    found = {}
    for name, value in tags.items():
        group, _, tag = name.rpartition(":")
        if tag == "Comment" and group in ("File", "PNG", "GIF"):
            found["Comment"] = value
        elif group and group not in _IGNORED_GROUPS:
            found[name] = value
    return found


def outcome(tag: str, before: object, after: object, image_format: str, keeps_gps: bool) -> str:
    """Return what became of a tag.

    Args:
        tag: its group and name.
        before: its value in the photo.
        after: its value in the output; None if it is not there.
        image_format: the output's format.
        keeps_gps: whether places are kept.
    """
    if after == before:
        on_purpose = not any(re.fullmatch(each, tag) for each in STALE)
        if not keeps_gps:
            on_purpose &= not any(re.fullmatch(each, tag) for each in PLACE)
        return KEPT if on_purpose else WRONG
    if after is not None:
        return CHANGED if any(re.fullmatch(each, tag) for each in CHANGES) else WRONG
    reasons = [*STALE, *(PLACE if not keeps_gps else ())]
    reasons += [each for each, formats in MISSING.items() if image_format in formats]
    return DROPPED if any(re.fullmatch(each, tag) for each in reasons) else WRONG


def main() -> int:
    """Print the table; return the exit code."""
    if shutil.which("exiftool") is None:
        print("Install ExifTool, which reads the files (Debian: libimage-exiftool-perl).")
        return 2
    source = camera_photo()
    before = tags_of(source, ".jpg")
    photo = decode(source)
    formats = [spec for spec in FORMATS.values() if spec.is_available]
    written = {
        (spec.name, keeps): tags_of(encode(photo, spec.name, keep_gps=keeps), spec.extensions[0])
        for spec in formats
        for keeps in (True, False)
    }
    rows = {
        tag: [
            outcome(tag, value, written[spec.name, keeps].get(tag), spec.name, keeps)
            for spec in formats
            for keeps in (True, False)
        ]
        for tag, value in before.items()
    }
    print(f"{len(before)} tags. In each cell: `gps: keep` / `gps: drop`.\n")
    print("| tag | value | " + " | ".join(spec.name for spec in formats) + " |")
    print("| --- " * (len(formats) + 2) + "|")
    for tag, cells in rows.items():
        pairs = [" / ".join(dict.fromkeys(cells[n : n + 2])) for n in range(0, len(cells), 2)]
        print(f"| {tag} | {str(before[tag])[:32]} | " + " | ".join(pairs) + " |")
    print("\nChanged:\n")
    print_reasons(CHANGES)
    print("\nDropped:\n")
    print_reasons(STALE)
    print_reasons(PLACE, "with `gps: drop`: ")
    for pattern, names in MISSING.items():
        print(f"- `{pattern}`: {', '.join(names)} cannot hold it")
    added = {
        f"{name}: {tag}"
        for (name, _), tags in written.items()
        for tag in tags.keys() - before.keys()
        if not (name == "tiff" and tag.startswith("IFD0:"))  # about the pixels
    }
    print("\nOnly in outputs: " + (", ".join(sorted(added)) or "nothing"))
    wrong = sum(cell == WRONG for cells in rows.values() for cell in cells)
    print(f"\n{wrong} cells are wrong.")
    return 1 if wrong or added else 0


def print_reasons(reasons: dict[str, str], start: str = "") -> None:
    """Print why tags are changed or dropped."""
    for pattern, reason in reasons.items():
        print(f"- `{pattern}`: {start}{reason}")


if __name__ == "__main__":
    sys.exit(main())
