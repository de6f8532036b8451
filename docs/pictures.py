"""Redraw the pictures of the documents, and print the times that the documents give.

    python docs/pictures.py PAINTING

PAINTING is an image file of van Gogh's Starry Night, the painting that the shipped style
`starry_night` was trained on.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from stylebeam.transforms.checkpoints import parse_checkpoint, shipped_checkpoints
from stylebeam.transforms.gatys.engine import OptimizationEngine
from stylebeam.transforms.gatys.settings import PRESETS, OptimizationSettings
from stylebeam.transforms.images.contact_sheet import contact_sheet
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer
from stylebeam.transforms.inference.super_resolution import SuperResolutionEngine

DOCS = Path(__file__).parent
PHOTOS = DOCS.parent / "samples" / "photos"
CPU = torch.device("cpu")
QUALITY = 88
FACTOR = 4
# The cat's eye in cat.png: left, top, right and bottom, in pixels.
EYE = (100, 40, 292, 232)

Effect = Callable[[Tensor], Tensor]


def checkpoint(name: str) -> Path:
    """Return the path of a shipped checkpoint."""
    return next(path for path in shipped_checkpoints() if path.stem == name)


def read(name: str) -> Tensor:
    """Return a sample photo: RGB, uint8, shape (3, H, W)."""
    with Image.open(PHOTOS / name) as image:
        return pil_to_tensor(image.convert("RGB"))


def save(pixels: Tensor, name: str) -> None:
    """Write a picture, RGB, uint8, shape (3, H, W), to this folder."""
    to_pil_image(pixels).save(DOCS / name, quality=QUALITY)


def methods(painting: Tensor) -> dict[str, Effect]:
    """Return the methods to compare, by their labels."""
    styles = FeedForwardStylizer(parse_checkpoint(checkpoint("any_style").read_bytes()), CPU)

    def optimized(**options: object) -> Effect:
        recipe = OptimizationSettings(**{**PRESETS["default"], **options})
        return OptimizationEngine(recipe, [(painting, 1.0)], CPU).transform

    return {
        "fast: starry_night": lambda photo: styles.stylize(photo, styles={"starry_night": 1.0}),
        "gatys: default": optimized(),
        "gatys: default, colors: luminance": optimized(colors="luminance"),
    }


def compare_methods(painting: Tensor) -> None:
    """Write the results of each method for two photos, and print the seconds that each took."""
    effects = methods(painting)
    names = ["mountain-lake.jpg", "astronaut.jpg"]
    rows = []
    for name in names:
        photo = read(name)
        row = [photo]
        for effect_name, effect in effects.items():
            started = time.perf_counter()
            if effect_name.startswith("fast"):
                effect(photo)  # Compiles the model.
                started = time.perf_counter()
            row.append(effect(photo))
            print(f"{name}, {effect_name}: {time.perf_counter() - started:.2f} s", flush=True)
        rows.append(row)
    save(rows[0][2], "mountain-lake_optimized.jpg")
    pictures = [[to_pil_image(pixels) for pixels in row] for row in rows]
    for picture in (each for row in pictures for each in row):
        picture.thumbnail((480, 480), Image.Resampling.LANCZOS)
    labels = [Path(name).stem for name in names]
    sheet = contact_sheet(pictures, labels, ["photo", *effects], "")
    sheet.save(DOCS / "methods.jpg", quality=QUALITY)


def compare_enlargements() -> None:
    """Write a crop of a photo, reduced to a quarter and enlarged again by several methods."""
    with Image.open(PHOTOS / "cat.png") as image:
        photo = image.convert("RGB").crop(EYE)
    width, height = photo.size
    small = photo.resize((width // FACTOR, height // FACTOR), Image.Resampling.BICUBIC)
    row = [small.resize(photo.size, Image.Resampling.BICUBIC)]
    names = ["x4_pixel", "x4_feature"]
    for name in names:
        resolver = SuperResolutionEngine(parse_checkpoint(checkpoint(name).read_bytes()), CPU)
        row.append(to_pil_image(resolver.transform(pil_to_tensor(small))))
    row.append(photo)
    sheet = contact_sheet([row], [""], ["bicubic", *names, "the photo itself"], "")
    sheet.save(DOCS / "super_resolution.jpg", quality=QUALITY)


def main() -> None:
    """Redraw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("painting", type=Path)
    with Image.open(parser.parse_args().painting) as image:
        painting = pil_to_tensor(image.convert("RGB"))
    styles = FeedForwardStylizer(parse_checkpoint(checkpoint("any_style").read_bytes()), CPU)
    for style in ("starry_night", "udnie"):
        picture = styles.stylize(read("mountain-lake.jpg"), styles={style: 1.0})
        save(picture, f"mountain-lake_{style}.jpg")
    compare_enlargements()
    compare_methods(painting)


if __name__ == "__main__":
    main()
