"""Compares the distilled VGG with VGG-19: time and memory of an iteration.

python -m benchmarks.loss_network_speed

An iteration computes the content loss and the five style losses of Gatys et al. for an image of
512x512 pixels, and the gradient. The two networks are timed in alternation in one process. The peak
memory of each is measured in a process of its own.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable

import torch

from benchmarks.peak_memory import peak_of_process
from stylebeam.transforms.hardware.devices import choose_device, fast_precision
from stylebeam.transforms.losses.borders import ReflectedMargin
from stylebeam.transforms.losses.distilled_vgg import LAYERS
from stylebeam.transforms.losses.loss_network import (
    LossNetworkName,
    load_loss_network,
)
from stylebeam.transforms.losses.perceptual import LossSettings, PerceptualLoss

NETWORKS: tuple[LossNetworkName, ...] = ("vgg19", "embedded")
CONTENT_LAYER = "relu4_2"
ROUNDS = 15
MIB = 1 << 20


def iteration_with(name: LossNetworkName, size: int) -> Callable[[], None]:
    """Return a function that does one iteration with a network."""
    device = choose_device("auto")
    network = load_loss_network(name, LAYERS, device, fast_precision(device))
    painting, photo, image = torch.rand(3, 1, 3, size, size, device=device)
    style_layers = {layer: 1.0 for layer in LAYERS if layer != CONTENT_LAYER}
    settings = LossSettings({CONTENT_LAYER: 1.0}, style_layers)
    loss = PerceptualLoss(ReflectedMargin(network), settings)
    content, style = loss.content_targets(photo), loss.style_targets([painting])
    image.requires_grad_()

    def iterate() -> None:
        loss(image, content, style).total.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return iterate


def peak_memory(name: LossNetworkName, size: int, answer: multiprocessing.SimpleQueue) -> None:
    """Put this process's peak memory in bytes: with a tiny image, and with one of `size`."""
    peaks = []
    for side in (64, size):
        iterate = iteration_with(name, side)
        for _ in range(3):
            iterate()
        peaks.append(peak_of_process())
    answer.put(peaks)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    size = parser.parse_args().size
    iterations = {name: iteration_with(name, size) for name in NETWORKS}
    seconds: dict[str, list[float]] = {name: [] for name in NETWORKS}
    for number in range(ROUNDS + 1):
        for name, iterate in iterations.items():
            started = time.perf_counter()
            iterate()
            if number:  # The first round is a warm-up.
                seconds[name].append(time.perf_counter() - started)
    context = multiprocessing.get_context("spawn")
    for name in NETWORKS:
        answer = context.SimpleQueue()
        process = context.Process(target=peak_memory, args=(name, size, answer))
        process.start()
        tiny, peak = answer.get()
        process.join()
        print(
            f"{name}: {statistics.median(seconds[name]):.3f} s/iteration (median of {ROUNDS});"
            f" peak memory {peak / MIB:.0f} MiB, {tiny / MIB:.0f} MiB with an image of 64x64"
        )
    ratio = statistics.median(seconds["vgg19"]) / statistics.median(seconds["embedded"])
    print(f"the distilled VGG is {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
