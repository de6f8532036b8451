"""Draw photographs.jpg: the six sample photographs as squares, in two rows.

The activations of loss networks are measured on this picture, to normalize them.
"""

import argparse
from pathlib import Path

from PIL import Image, ImageOps

PHOTOGRAPHS = Path(__file__).parent / "photos"
SIDE = 256
COLUMNS, ROWS = 3, 2


def square(path: Path) -> Image.Image:
    """Return the center square of a photograph, upright, scaled to SIDE x SIDE pixels."""
    with Image.open(path) as photograph:
        upright = ImageOps.exif_transpose(photograph).convert("RGB")
    return ImageOps.fit(upright, (SIDE, SIDE), Image.Resampling.LANCZOS)


def mosaic(paths: list[Path]) -> Image.Image:
    """Return one picture of the photographs, arranged row by row."""
    picture = Image.new("RGB", (COLUMNS * SIDE, ROWS * SIDE))
    for index, path in enumerate(paths):
        row, column = divmod(index, COLUMNS)
        picture.paste(square(path), (column * SIDE, row * SIDE))
    return picture


def main() -> None:
    """Read the command line, draw the picture and save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="the JPEG file to write")
    arguments = parser.parse_args()
    picture = mosaic(sorted(PHOTOGRAPHS.iterdir()))
    picture.save(arguments.output, quality=85, optimize=True)


if __name__ == "__main__":
    main()
