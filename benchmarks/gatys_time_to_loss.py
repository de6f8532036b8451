"""Measures how soon `recipe: default`, finished with VGG-19, reaches the loss of `gatys2016`.

python -m benchmarks.gatys_time_to_loss out chicago.jpg,starry_night.jpg ...

Each photo is optimized with the preset gatys2016, starting from the photo, and with the preset
default and the same loss weights. Both are evaluated with the loss that gatys2016 minimizes. The
time of gatys2016 in float32 is extrapolated from a few iterations. These are timed before and after
each run of default, because the speed of a machine varies.
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
    """The course of an optimization.

    Attributes:
        image: the result: RGB, uint8 of shape (3, H, W).
        seconds: time from the start to each evaluation of the loss.
        losses: the loss in each evaluation.
    """

    image: Tensor
    seconds: list[float]
    losses: list[float]


def optimize(
    photo: Tensor, painting: Tensor, precision: torch.dtype | None = None, **options: Any
) -> Trace:
    """Optimize a photo and record the time, including the loading of the networks."""
    started = time.perf_counter()
    seconds, losses = [], []

    def record(progress: Progress) -> None:
        seconds.append(time.perf_counter() - started)
        losses.append(progress.terms[0].total.item())

    stylizer = GatysStylizer(GatysRecipe(**options), [(painting, 1.0)], CPU, precision)
    [image] = stylizer.stylize([photo], record)
    return Trace(image, seconds, losses)


def compare(photo: Tensor, painting: Tensor, iterations: int, finish: int) -> list[Image.Image]:
    """Print the measurements of a photo and a painting, and return the photo and the results."""
    paper = {**PRESETS["gatys2016"], "init": "content"}
    positions = math.prod(side // 8 for side in photo.shape[1:])
    # The content loss of gatys2016 is half of a sum over 512 channels, that of default a mean.
    ours = {
        **PRESETS["default"],
        "style_weight": paper["style_weight"] / (512 * positions / 2),
        "finish": "vgg19",
    }
    first_times: list[float] = []
    other_times: list[float] = []

    def time_float32() -> float:
        """Time a few more iterations; return the estimated time of all, from the medians so far."""
        few = {**paper, "iterations": FLOAT32_ITERATIONS}
        seconds = optimize(photo, painting, torch.float32, **few).seconds
        first_times.append(seconds[0])
        other_times.extend(after - before for before, after in pairwise(seconds))
        return statistics.median(first_times) + statistics.median(other_times) * (iterations - 1)

    plain = optimize(photo, painting, **{**paper, "iterations": iterations})
    total = plain.seconds[-1]
    evaluator = GatysStylizer(GatysRecipe(**paper), [(painting, 1.0)], CPU, torch.float32)
    target = evaluator.judge(plain.image, photo).total.item()
    print(f"gatys2016: loss {target:.4g} after {total:.0f} s", flush=True)
    pictures = [photo, plain.image]

    def show(name: str, trace: Trace) -> float:
        loss = evaluator.judge(trace.image, photo).total.item()
        print(
            f"{name}: {loss / target:.3f} times that loss after {trace.seconds[-1]:.1f} s",
            flush=True,
        )
        pictures.append(trace.image)
        return loss

    alone = optimize(photo, painting, **{**ours, "finish": "none"})
    show("default without finish", alone)
    time_float32()
    best = optimize(photo, painting, **{**ours, "finish_iterations": finish})
    float32_time = time_float32()
    print(f"gatys2016 in float32: {float32_time:.0f} s", flush=True)
    # The trace has the losses before the image is rounded to 8 bits.
    rounding = show(f"default, {finish} evaluations of VGG-19", best) / (
        best.losses[-1] * 256 * positions
    )
    distilled = len(best.losses) - finish
    finish_range = range(distilled, len(best.losses))
    reached = [n for n in finish_range if rounding * best.losses[n] * 256 * positions <= target]
    if reached:
        when = best.seconds[reached[0]]
        print(
            f"default reaches the loss of gatys2016 after {when:.0f} s, with"
            f" {reached[0] - distilled + 1} evaluations of VGG-19: {total / when:.1f} times as"
            f" fast, and {float32_time / when:.1f} times as fast as in float32",
            flush=True,
        )
    count = sum(best.seconds[n] <= float32_time / 10 for n in finish_range)
    if count:
        short = optimize(photo, painting, **{**ours, "finish_iterations": count})
        show(f"default in a tenth of the float32 time, {count} evaluations of VGG-19", short)
        print(f"gatys2016 in float32: {time_float32():.0f} s", flush=True)
    return [to_pil_image(picture) for picture in pictures]


def read(path: str, long_side: int) -> Tensor:
    """Return an image, reduced to a long side in pixels."""
    with Image.open(path) as image:
        image.thumbnail((long_side, long_side), Image.Resampling.LANCZOS)
        return pil_to_tensor(image.convert("RGB"))


def main() -> None:
    """Compare pairs of photos and paintings, print the measurements and write a contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for the contact sheet")
    parser.add_argument("pairs", nargs="+", help="photo and painting: PHOTO,PAINTING")
    parser.add_argument("--size", type=int, default=512, help="long side in pixels")
    parser.add_argument("--iterations", type=int, default=500, help="of gatys2016")
    parser.add_argument("--finish", type=int, default=100, help="evaluations of VGG-19")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    columns = ["photo", "gatys2016", "default", f"default, {args.finish} of VGG-19"]
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
