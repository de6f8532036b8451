"""Measures optimizations: time per iteration, the loss in bfloat16, and peak memory.

python -m benchmarks.gatys_speed photo.jpg painting.jpg
"""

import argparse
import itertools
import multiprocessing
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from benchmarks.peak_memory import peak_of_process
from stylebeam.transforms.gatys.descent import Progress
from stylebeam.transforms.gatys.recipe import PRESETS, GatysRecipe
from stylebeam.transforms.gatys.stylizer import GatysStylizer
from stylebeam.transforms.hardware.memory import join_freed_blocks, keep_few_kernels

CPU = torch.device("cpu")
PAPER = {**PRESETS["gatys2016"], "init": "content"}
ITERATIONS = 6
IMAGES_IN_A_ROW = 10
MIB = 1 << 20
# More than the history size of L-BFGS, so that its memory is at its peak.
ITERATIONS_FOR_MEMORY = {"default": 100, "gatys2016": 22}


def read(path: str, size: tuple[int, int]) -> Tensor:
    """Return an image, cropped and scaled to a width and height: RGB, uint8 of shape (3, H, W)."""
    with Image.open(path) as image:
        return pil_to_tensor(ImageOps.fit(image.convert("RGB"), size, Image.Resampling.LANCZOS))


def iteration_seconds(stylizer: GatysStylizer, photo: Tensor) -> list[float]:
    """Return the seconds that each iteration of a short optimization takes."""
    times: list[float] = []

    def record(progress: Progress) -> None:
        times.append(time.perf_counter())

    stylizer.stylize([photo], record)
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def seconds_per_iteration(
    stylizer: GatysStylizer, photos: list[Tensor], at_once: int, cores: int
) -> float:
    """Return the median time of an iteration, divided by the number of images at once.

    Args:
        stylizer: the optimization.
        photos: the images.
        at_once: number of images that are optimized at once.
        cores: number of cores for each image.
    """
    with ThreadPoolExecutor(
        at_once, initializer=torch.set_num_threads, initargs=(cores,)
    ) as threads:
        seconds = threads.map(partial(iteration_seconds, stylizer), photos)
        return statistics.median(itertools.chain(*seconds)) / at_once


def compare_speeds(photo: Tensor, painting: Tensor) -> None:
    """Print the time per iteration by precision, optimizer and number of images."""
    all_cores = torch.get_num_threads()
    print(
        f"| precision | optimizer | 1 image, {all_cores} cores | 1 image, 1 core"
        f" | 4 images, {all_cores} at once, 1 core each |\n| --- | --- | --- | --- | --- |"
    )
    four = [photo.roll(31 * n, 2) for n in range(4)]
    for precision, optimizer in itertools.product(
        (torch.float32, torch.bfloat16), ("lbfgs", "adam")
    ):
        recipe = GatysRecipe(**{**PAPER, "optimizer": optimizer, "iterations": ITERATIONS})
        stylizer = GatysStylizer(recipe, [(painting, 1.0)], CPU, precision)
        seconds = (
            seconds_per_iteration(stylizer, photos, at_once, cores)
            for photos, at_once, cores in (
                (four[:1], 1, all_cores),
                (four[:1], 1, 1),
                (four, all_cores, 1),
            )
        )
        name = str(precision).removeprefix("torch.")
        print(
            f"| {name} | {optimizer} | " + " | ".join(f"{each:.2f} s" for each in seconds) + " |",
            flush=True,
        )


def compare_losses(photo: Tensor, painting: Tensor, iterations: int) -> None:
    """Print the final losses of optimizations in both precisions, evaluated in float32."""
    recipe = GatysRecipe(**{**PAPER, "iterations": iterations})
    evaluator = GatysStylizer(recipe, [(painting, 1.0)], CPU, torch.float32)
    losses = {}
    for precision in (torch.float32, torch.bfloat16):
        [image] = GatysStylizer(recipe, [(painting, 1.0)], CPU, precision).stylize([photo])
        losses[precision] = evaluator.judge(image, photo).total.item()
        print(f"{precision}: {losses[precision]:.5g} after {iterations} iterations", flush=True)
    ratio = losses[torch.bfloat16] / losses[torch.float32]
    print(f"The loss in bfloat16 is {ratio:.4f} times the loss in float32.")


def peak_memory(
    preset: str,
    size: tuple[int, int],
    photo: str,
    painting: str,
    answer: multiprocessing.SimpleQueue,
) -> None:
    """Put this process's peak memory in bytes: when loaded, after one image, and after the last."""
    keep_few_kernels()
    iterations = ITERATIONS_FOR_MEMORY[preset]
    recipe = GatysRecipe(**{**PRESETS[preset], "tolerance": 0.0, "iterations": iterations})
    stylizer = GatysStylizer(recipe, [(read(painting, size), 1.0)], CPU)
    pixels = read(photo, size)
    peaks = [peak_of_process()]
    for number in range(IMAGES_IN_A_ROW):
        stylizer.stylize([pixels.roll(31 * number, 2)])
        if number in (0, IMAGES_IN_A_ROW - 1):
            peaks.append(peak_of_process())
    answer.put(peaks)


def main() -> None:
    """Print all measurements."""
    join_freed_blocks()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo")
    parser.add_argument("painting")
    parser.add_argument("--size", type=int, default=512, help="side in pixels, for times")
    parser.add_argument("--memory-size", type=int, default=1024, help="side in pixels, for memory")
    parser.add_argument(
        "--iterations", type=int, default=100, help="number before losses are compared"
    )
    args = parser.parse_args()
    photo, painting = (read(path, (args.size, args.size)) for path in (args.photo, args.painting))
    compare_speeds(photo, painting)
    compare_losses(photo, painting, args.iterations)
    context = multiprocessing.get_context("spawn")
    for preset in ITERATIONS_FOR_MEMORY:
        answer = context.SimpleQueue()
        size = (args.memory_size, args.memory_size)
        process = context.Process(
            target=peak_memory, args=(preset, size, args.photo, args.painting, answer)
        )
        process.start()
        loaded, one, last = (peak / MIB for peak in answer.get())
        process.join()
        print(
            f"{preset}, {args.memory_size}x{args.memory_size}: peak memory {one:.0f} MiB after one"
            f" image, {last:.0f} MiB after {IMAGES_IN_A_ROW}, {loaded:.0f} MiB before"
        )


if __name__ == "__main__":
    main()
