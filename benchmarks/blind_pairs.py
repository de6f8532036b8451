"""Pages of blind pairs, by which people judge two programs, and the score of their answers.

    python -m benchmarks.blind_pairs pages OURS THEIRS PAINTINGS PHOTOS OUT
    python -m benchmarks.blind_pairs score OUT ANSWERS.txt

OURS and THEIRS are folders of pictures of the same photos and paintings, named PHOTO__PAINTING with
an image's extension. OUT gets pages of four numbered rows: the painting, the photo, and the two
pictures as A and B, in random order; and `key.json`, which viewers must not see.

Viewers write for each row a number and two letters: which of A and B they would rather hang, and
which is more in the painting's manner. For example `1 AB 2 BB 3 AA`.
"""

import argparse
import json
import random
from pathlib import Path

from PIL import Image, ImageDraw

ROWS = 4
CELL = 400, 300  # width and height in pixels
NUMBER_WIDTH, LABEL_HEIGHT, GAP = 60, 24, 8
LABELS = ("painting", "photo", "A", "B")


def pages(ours: Path, theirs: Path, paintings: Path, photos: Path, out: Path) -> None:
    """Write the pages, and the key to them."""
    names = sorted(path.stem for path in ours.iterdir() if "__" in path.stem)
    draw = random.Random(0)
    draw.shuffle(names)
    out.mkdir(parents=True, exist_ok=True)
    key = {}
    for first in range(0, len(names), ROWS):
        rows = []
        for number, name in enumerate(names[first : first + ROWS], start=first + 1):
            photo, painting = name.split("__")
            pictures = [find(ours, name), find(theirs, name)]
            letter = draw.choice("AB")
            key[str(number)] = letter
            if letter == "B":
                pictures.reverse()
            rows.append((number, [find(paintings, painting), find(photos, photo), *pictures]))
        page(rows).save(out / f"page_{first // ROWS + 1:02d}.png")
    (out / "key.json").write_text(json.dumps(key))


def find(folder: Path, stem: str) -> Path:
    """Return the image of that name in a folder, at any depth."""
    found = sorted(folder.rglob(f"{stem}.*"))
    if not found:
        raise SystemExit(f"There is no {stem} in {folder}.")
    return found[0]


def page(rows: list[tuple[int, list[Path]]]) -> Image.Image:
    """Return a page of rows, each a number and four images."""
    width, height = CELL
    size = NUMBER_WIDTH + len(LABELS) * (width + GAP), len(rows) * (LABEL_HEIGHT + height + GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for row, (number, paths) in enumerate(rows):
        top = row * (LABEL_HEIGHT + height + GAP)
        draw.text((4, top + height // 2), str(number), "black", font_size=26)
        for column, (path, label) in enumerate(zip(paths, LABELS, strict=True)):
            left = NUMBER_WIDTH + column * (width + GAP)
            draw.text((left, top + 2), label, "black", font_size=18)
            with Image.open(path) as image:
                cell = image.convert("RGB")
            cell.thumbnail(CELL, Image.Resampling.LANCZOS)
            sheet.paste(cell, (left, top + LABEL_HEIGHT))
    return sheet


def score(out: Path, answers: Path) -> None:
    """Print how often ours were chosen."""
    key = json.loads((out / "key.json").read_text())
    words = answers.read_text().split()
    rows = dict(zip(words[::2], words[1::2], strict=True))
    for position, question in enumerate(("would rather hang", "more in the painting's manner")):
        chosen = sum(letters[position] == key[number] for number, letters in rows.items())
        print(f"{question}: ours in {chosen} of {len(rows)} pairs")


def main() -> None:
    """Write pages, or score answers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("pages")
    for name in ("ours", "theirs", "paintings", "photos", "out"):
        command.add_argument(name, type=Path)
    command.set_defaults(function=pages)
    command = commands.add_parser("score")
    for name in ("out", "answers"):
        command.add_argument(name, type=Path)
    command.set_defaults(function=score)
    arguments = vars(parser.parse_args())
    arguments.pop("function")(**arguments)


if __name__ == "__main__":
    main()
