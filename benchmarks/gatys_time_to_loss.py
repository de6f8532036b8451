"""Measures how soon `recipe: default`, finished by VGG-19, is as good as plain `gatys2016`.

Each photograph is optimised towards a painting by gatys2016, from the photograph, for so many
iterations, and by the default recipe with the same weights of the losses. VGG-19 judges both, by
the loss that gatys2016 minimises. In float32 some of gatys2016's iterations are timed before and
after each of the default recipe's runs, since machines are not equally fast all the time.

    python benchmarks/gatys_time_to_loss.py out chicago.jpg,starry_night.jpg ...
"""

import argparse
import math
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from stylebeam.transforms.gatys.descent import Progress
from stylebeam.transforms.gatys.recipe import PRESETS, GatysRecipe
from stylebeam.transforms.gatys.stylizer import GatysStylizer
from stylebeam.transforms.images.contact_sheet import contact_sheet

CPU = torch.device("cpu")
FLOAT32_ITERATIONS = 5


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
    places = math.prod(side // 8 for side in photo.shape[1:])
    # The default divides the content loss, 1/2 of a sum over 512 channels, by their number.
    ours = {
        **PRESETS["default"],
        "style_weight": paper["style_weight"] / (512 * places / 2),
        "finish": "vgg19",
    }
    firsts: list[float] = []
    others: list[float] = []

    def time_float32() -> float:
        """Return how long so many iterations take, by the medians of all that were timed."""
        few = {**paper, "iterations": FLOAT32_ITERATIONS}
        seconds = optimize(photo, painting, torch.float32, **few).seconds
        firsts.append(seconds[0])
        others.extend(after - before for before, after in pairwise(seconds))
        return statistics.median(firsts) + statistics.median(others) * (iterations - 1)

    plain = optimize(photo, painting, **{**paper, "iterations": iterations})
    total = plain.seconds[-1]
    judge = GatysStylizer(GatysRecipe(**paper), [(painting, 1.0)], CPU, torch.float32)
    aim = judge.judge(plain.image, photo).total.item()
    print(f"gatys2016: a loss of {aim:.4g} after {total:.0f} s", flush=True)
    pictures = [photo, plain.image]

    def show(name: str, trace: Trace) -> float:
        loss = judge.judge(trace.image, photo).total.item()
        print(f"{name}: {loss / aim:.3f} of its loss after {trace.seconds[-1]:.1f} s", flush=True)
        pictures.append(trace.image)
        return loss

    alone = optimize(photo, painting, **{**ours, "finish": "none"})
    show("default without finish", alone)
    time_float32()
    best = optimize(photo, painting, **{**ours, "finish_iterations": finish})
    of_float32 = time_float32()
    print(f"gatys2016 in float32: {of_float32:.0f} s", flush=True)
    # A written image is rounded to 8 bits, the images that the trace has the losses of are not.
    rounding = show(f"default, {finish} evaluations by VGG-19", best) / (
        best.losses[-1] * 256 * places
    )
    embedded = len(best.losses) - finish
    by_vgg19 = range(embedded, len(best.losses))
    reached = [n for n in by_vgg19 if rounding * best.losses[n] * 256 * places <= aim]
    if reached:
        when = best.seconds[reached[0]]
        print(
            f"default reaches gatys2016's loss after {when:.0f} s, with"
            f" {reached[0] - embedded + 1} evaluations by VGG-19: in 1/{total / when:.1f}"
            f" of its time, 1/{of_float32 / when:.1f} of its time in float32",
            flush=True,
        )
    count = sum(best.seconds[n] <= of_float32 / 10 for n in by_vgg19)
    if count:
        short = optimize(photo, painting, **{**ours, "finish_iterations": count})
        show(f"a tenth of its time in float32, {count} evaluations by VGG-19", short)
        print(f"gatys2016 in float32: {time_float32():.0f} s", flush=True)
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
    parser.add_argument("--finish", type=int, default=100, help="evaluations by VGG-19")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    columns = ["photograph", "gatys2016", "default", f"default, {args.finish} by VGG-19"]
    rows, labels = [], []
    for pair in args.pairs:
        photo, painting = pair.split(",")
        labels.append(f"{Path(photo).stem}, {Path(painting).stem}")
        print(labels[-1], flush=True)
        row = compare(read(photo, args.size), read(painting, 4000), args.iterations, args.finish)
        rows.append(row[: len(columns)])
    sheet = contact_sheet(rows, labels, columns, f"{args.iterations} iterations of gatys2016")
    sheet.save(args.out / "time_to_loss.png")


if __name__ == "__main__":
    main()
