"""Measures how soon `recipe: default`, finished by VGG-19, is as good as plain `gatys2016`.

Each photograph is optimised towards a painting by gatys2016, from the photograph, for so many
iterations, and by the default recipe with the same weights of the losses. VGG-19 judges both, by
the loss that gatys2016 minimises.

    python benchmarks/gatys_time_to_loss.py out chicago.jpg,starry_night.jpg ...
"""

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from transforms.contact_sheet import contact_sheet
from transforms.gatys.descent import Progress
from transforms.gatys.recipe import PRESETS, GatysRecipe
from transforms.gatys.stylizer import GatysStylizer

CPU = torch.device("cpu")
FLOAT32_ITERATIONS = 10


class Trace(NamedTuple):
    """An optimisation.

    Attributes:
        image: what came of it, RGB, uint8.
        seconds: from the beginning to each evaluation of the loss.
        losses: what each found.
    """

    image: Tensor
    seconds: list[float]
    losses: list[float]


def optimize(
    photo: Tensor, painting: Tensor, precision: torch.dtype | None = None, **options: Any
) -> Trace:
    """Optimise a photograph and take the time, that of loading the networks included."""
    started = time.perf_counter()
    seconds, losses = [], []

    def take_note(progress: Progress) -> None:
        seconds.append(time.perf_counter() - started)
        losses.append(progress.terms[0].total.item())

    stylizer = GatysStylizer(GatysRecipe(**options), [(painting, 1.0)], CPU, precision)
    [image] = stylizer.stylize([photo], take_note)
    return Trace(image, seconds, losses)


def compare(photo: Tensor, painting: Tensor, iterations: int, finish: int) -> list[Image.Image]:
    """Print a pair's figures and return its pictures."""
    paper = {**PRESETS["gatys2016"], "init": "content"}
    places = (photo.shape[1] // 8) * (photo.shape[2] // 8)
    # The default divides the content loss, 1/2 of a sum over 512 channels, by their number.
    ours = {
        **PRESETS["default"],
        "style_weight": paper["style_weight"] / (512 * places / 2),
        "finish": "vgg19",
    }
    exact = optimize(photo, painting, torch.float32, **{**paper, "iterations": FLOAT32_ITERATIONS})
    of_float32 = (exact.seconds[-1] - exact.seconds[0]) / (FLOAT32_ITERATIONS - 1) * iterations
    plain = optimize(photo, painting, **{**paper, "iterations": iterations})
    total = plain.seconds[-1]
    judge = GatysStylizer(GatysRecipe(**paper), [(painting, 1.0)], CPU, torch.float32)
    aim = judge.judge(plain.image, photo).total.item()
    print(f"gatys2016: {aim:.4g} after {total:.0f} s; in float32 {of_float32:.0f} s", flush=True)
    best = optimize(photo, painting, **{**ours, "finish_iterations": finish})
    pictures = [photo, plain.image]
    before_finish = len(best.seconds) - finish
    for name, budget in (("float32", of_float32 / 10), ("the same precision", total / 10)):
        count = sum(second <= budget for second in best.seconds) - before_finish
        if count < 1:
            print(f"a tenth of its time in {name}, {budget:.1f} s: VGG-19 has not begun")
            continue
        short = optimize(photo, painting, **{**ours, "finish_iterations": count})
        loss = judge.judge(short.image, photo).total.item()
        print(
            f"a tenth of its time in {name}, {budget:.1f} s ({short.seconds[-1]:.1f} s when run"
            f" again): {loss:.4g}, {loss / aim:.3f} of it, {count} evaluations by VGG-19",
            flush=True,
        )
        pictures.append(short.image)
    # The 8-bit image's loss is higher by rounding, which the aim's is too.
    reached = [
        second
        for second, loss in zip(best.seconds, best.losses, strict=True)
        if second > best.seconds[before_finish - 1] and loss * 256 * places <= min(plain.losses)
    ]
    when = f"after {reached[0]:.0f} s" if reached else f"not within {best.seconds[-1]:.0f} s"
    ratios = f": 1/{total / reached[0]:.1f}, 1/{of_float32 / reached[0]:.1f}" if reached else ""
    print(f"default reaches gatys2016's lowest loss {when}{ratios} of its time", flush=True)
    return [to_pil_image(picture) for picture in pictures]


def read(path: str, long_side: int) -> Tensor:
    """Return an image, reduced to a long side."""
    with Image.open(path) as image:
        image.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
        return pil_to_tensor(image.convert("RGB"))


def main() -> None:
    """Compare pairs, print their figures and write a contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="a folder for the contact sheet")
    parser.add_argument("pairs", nargs="+", help="a photograph and a painting: PHOTO,PAINTING")
    parser.add_argument("--size", type=int, default=512, help="long side in pixels")
    parser.add_argument("--iterations", type=int, default=500, help="of gatys2016")
    parser.add_argument("--finish", type=int, default=200, help="evaluations by VGG-19, at most")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows, labels = [], []
    for pair in args.pairs:
        photo, painting = pair.split(",")
        labels.append(f"{Path(photo).stem}, {Path(painting).stem}")
        print(labels[-1], flush=True)
        row = compare(read(photo, args.size), read(painting, 4000), args.iterations, args.finish)
        rows.append([*row, *[None] * (4 - len(row))])
    columns = ["photograph", "gatys2016", "default, 1/10 of float32's time", "default, 1/10"]
    sheet = contact_sheet(rows, labels, columns, f"{args.iterations} iterations of gatys2016")
    sheet.save(args.out / "time_to_loss.png")


if __name__ == "__main__":
    main()
