"""Measures when `recipe: default`, finished by VGG-19, is as good as plain `gatys2016`.

Each photo is optimized towards a painting with gatys2016, starting from the photo, for a number of
iterations, and with the default preset and the same loss weights. Both are compared by VGG-19's
loss, the one that gatys2016 minimizes. Some of gatys2016's iterations in float32 are timed before
and after each run of the default preset, since the speed of a machine changes over time.

    python -m benchmarks.gatys_time_to_loss out chicago.jpg,starry_night.jpg ...
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

from stylebeam.transforms.gatys.descent import Evaluation
from stylebeam.transforms.gatys.engine import OptimizationEngine
from stylebeam.transforms.gatys.settings import PRESETS, OptimizationSettings
from stylebeam.transforms.images.contact_sheet import contact_sheet

CPU = torch.device("cpu")
FLOAT32_ITERATIONS = 5


class Trace(NamedTuple):
    """The course of an optimization.

    Attributes:
        image: the result, RGB, uint8.
        seconds: from the start to each evaluation of the loss.
        losses: of each evaluation.
    """

    image: Tensor
    seconds: list[float]
    losses: list[float]


def optimize(
    photo: Tensor, painting: Tensor, precision: torch.dtype | None = None, **options: Any
) -> Trace:
    """Optimize a photo, and measure the time from before the networks are loaded."""
    started = time.perf_counter()
    seconds, losses = [], []

    def record(evaluation: Evaluation) -> None:
        seconds.append(time.perf_counter() - started)
        losses.append(evaluation.terms.total.item())

    settings = OptimizationSettings(**options)
    engine = OptimizationEngine(settings, [(painting, 1.0)], CPU, precision)
    return Trace(engine.transform(photo, on_evaluation=record), seconds, losses)


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
        """Estimate the seconds of all iterations from the medians of those timed so far."""
        few = {**paper, "iterations": FLOAT32_ITERATIONS}
        seconds = optimize(photo, painting, torch.float32, **few).seconds
        firsts.append(seconds[0])
        others.extend(after - before for before, after in pairwise(seconds))
        return statistics.median(firsts) + statistics.median(others) * (iterations - 1)

    plain = optimize(photo, painting, **{**paper, "iterations": iterations})
    total = plain.seconds[-1]
    settings = OptimizationSettings(**paper)
    judge = OptimizationEngine(settings, [(painting, 1.0)], CPU, torch.float32)
    aim = judge.loss_terms(plain.image, photo).total.item()
    print(f"gatys2016: a loss of {aim:.4g} after {total:.0f} s", flush=True)
    pictures = [photo, plain.image]

    def show(name: str, trace: Trace) -> float:
        loss = judge.loss_terms(trace.image, photo).total.item()
        print(f"{name}: {loss / aim:.3f} of its loss after {trace.seconds[-1]:.1f} s", flush=True)
        pictures.append(trace.image)
        return loss

    alone = optimize(photo, painting, **{**ours, "finish": "none"})
    show("default without finish", alone)
    time_float32()
    best = optimize(photo, painting, **{**ours, "finish_iterations": finish})
    of_float32 = time_float32()
    print(f"gatys2016 in float32: {of_float32:.0f} s", flush=True)
    # Losses of the trace are of images that are not yet rounded to 8 bits.
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
    parser.add_argument("pairs", nargs="+", help="a photo and a painting: PHOTO,PAINTING")
    parser.add_argument("--size", type=int, default=512, help="long side in pixels")
    parser.add_argument("--iterations", type=int, default=500, help="of gatys2016")
    parser.add_argument("--finish", type=int, default=100, help="evaluations by VGG-19")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    columns = ["photo", "gatys2016", "default", f"default, {args.finish} by VGG-19"]
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
