"""Measures optimizations: seconds per iteration, the loss in bfloat16, and peak memory.

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
from stylebeam.transforms.gatys.descent import Evaluation
from stylebeam.transforms.gatys.engine import OptimizationEngine
from stylebeam.transforms.gatys.settings import PRESETS, OptimizationSettings
from stylebeam.transforms.hardware.memory import join_freed_blocks, keep_few_kernels

CPU = torch.device("cpu")
PAPER = {**PRESETS["gatys2016"], "init": "content"}
ITERATIONS = 6
IMAGES_IN_A_ROW = 10
MIB = 1 << 20
# More than L-BFGS remembers: the default preset's own number, and fewer than gatys2016's.
ITERATIONS_FOR_MEMORY = {"default": 100, "gatys2016": 22}


def read(path: str, size: tuple[int, int]) -> Tensor:
    """Return an image, cropped and scaled to a width and height: RGB, uint8 of shape (3, H, W)."""
    with Image.open(path) as image:
        return pil_to_tensor(ImageOps.fit(image.convert("RGB"), size, Image.Resampling.LANCZOS))


def steps(engine: OptimizationEngine, photo: Tensor) -> list[float]:
    """Return the seconds of each iteration of a short optimization."""
    at: list[float] = []

    def record(_: Evaluation) -> None:
        at.append(time.perf_counter())

    engine.transform(photo, on_evaluation=record)
    return [later - earlier for earlier, later in itertools.pairwise(at)]


def seconds_per_iteration(
    engine: OptimizationEngine, photos: list[Tensor], at_once: int, cores: int
) -> float:
    """Return the median per image, with `at_once` images in parallel and `cores` for each."""
    with ThreadPoolExecutor(
        at_once, initializer=torch.set_num_threads, initargs=(cores,)
    ) as threads:
        each = threads.map(partial(steps, engine), photos)
        return statistics.median(itertools.chain(*each)) / at_once


def compare_speeds(photo: Tensor, painting: Tensor) -> None:
    """Print seconds by precision, optimizer and number of images."""
    all_cores = torch.get_num_threads()
    print(
        f"| precision | optimizer | 1 image, {all_cores} cores | 1 image, 1 core"
        f" | 4 images, {all_cores} at once with 1 core each |\n| --- | --- | --- | --- | --- |"
    )
    four = [photo.roll(31 * n, 2) for n in range(4)]
    for precision, optimizer in itertools.product(
        (torch.float32, torch.bfloat16), ("lbfgs", "adam")
    ):
        settings = OptimizationSettings(
            **{**PAPER, "optimizer": optimizer, "iterations": ITERATIONS}
        )
        engine = OptimizationEngine(settings, [(painting, 1.0)], CPU, precision)
        seconds = (
            seconds_per_iteration(engine, photos, at_once, cores)
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
    """Print the final losses of both precisions, evaluated in float32."""
    settings = OptimizationSettings(**{**PAPER, "iterations": iterations})
    judge = OptimizationEngine(settings, [(painting, 1.0)], CPU, torch.float32)
    losses = {}
    for precision in (torch.float32, torch.bfloat16):
        picture = OptimizationEngine(settings, [(painting, 1.0)], CPU, precision).transform(photo)
        losses[precision] = judge.loss_terms(picture, photo).total.item()
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
    """Put the peaks of this process's memory, in MB: loaded, after one image, after the last."""
    keep_few_kernels()
    iterations = ITERATIONS_FOR_MEMORY[preset]
    settings = OptimizationSettings(
        **{**PRESETS[preset], "tolerance": 0.0, "iterations": iterations}
    )
    engine = OptimizationEngine(settings, [(read(painting, size), 1.0)], CPU)
    pixels = read(photo, size)
    peaks = [peak_of_process()]
    for number in range(IMAGES_IN_A_ROW):
        engine.transform(pixels.roll(31 * number, 2))
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
