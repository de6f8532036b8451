"""Times the style networks, as in the table of Pandey et al. 2018: how much less than Johnson's.

The networks take turns in one process, with random weights, on an image of one size, once in
float32 and once in the precision that stylebeam stylises in: as stylebeam computes them and, as
published, one layer after the other.

    python -m benchmarks.networks --width 1280 --height 720
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.plain_johnson import PlainJohnson
from stylebeam.transforms.hardware.devices import choose_device, fast_precision
from stylebeam.transforms.networks import build_network, style_size

_PLAIN = ", as published"
NETWORKS: dict[str, tuple[str, dict[str, int | str]]] = {
    "Johnson" + _PLAIN: ("johnson", {"upsampling": "transposed"}),
    "Johnson, transposed": ("johnson", {"upsampling": "transposed"}),
    "Johnson": ("johnson", {}),
    "DepSep": ("depsep", {}),
    "DepSep-NN-Bil": ("depsep_nn_bil", {}),
    "DepSep-NN": ("depsep_nn", {}),
    "DepSep-NN, multiplier 1": ("depsep_nn", {"channel_multiplier": 1}),
    "DepSep" + _PLAIN: ("depsep", {}),
    "DepSep-NN-Bil" + _PLAIN: ("depsep_nn_bil", {}),
    "DepSep-NN" + _PLAIN: ("depsep_nn", {}),
    "multi_style": ("multi_style", {}),
}
DEVICE = choose_device("auto")


def made_as(title: str) -> nn.Module:
    """Return the network that a row of the table is about."""
    network = build_network(*NETWORKS[title]).eval().to(DEVICE)
    if title.endswith(_PLAIN):
        network = PlainJohnson(network)
    return network.to(memory_format=torch.channels_last)


def stylization(network: nn.Module, image: torch.Tensor) -> Callable[[], None]:
    """Return what stylises the image once, and waits for it."""
    settings = [torch.zeros(1, style_size(network), device=DEVICE)]
    if isinstance(network, PlainJohnson):
        settings = []

    def run() -> None:
        network(image, *settings)
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    return run


@torch.inference_mode()
def main() -> None:
    """Print a table, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    image = torch.rand(1, 3, args.height, args.width, device=DEVICE)
    image = image.contiguous(memory_format=torch.channels_last)
    networks = {title: made_as(title) for title in NETWORKS}
    runs = {title: stylization(network, image) for title, network in networks.items()}
    precisions = {torch.float32, fast_precision(DEVICE)}
    seconds: dict[tuple[str, torch.dtype], list[float]] = {}
    for number in range(args.rounds + 1):
        for precision in precisions:
            for title, run in runs.items():
                with torch.autocast(DEVICE.type, precision, enabled=precision != torch.float32):
                    started = time.perf_counter()
                    run()
                taken = time.perf_counter() - started
                if number:  # The first makes kernels.
                    seconds.setdefault((title, precision), []).append(taken)
    columns = sorted(precisions, key=str, reverse=True)
    named = [str(precision).removeprefix("torch.") for precision in columns]
    titles = [title for name in named for title in (f"{name}, s", "less")]
    print("| network | parameters | multiply-adds |", " | ".join(titles), "|")
    print("|", " | ".join(["---"] * (3 + len(titles))), "|")
    first = next(iter(NETWORKS))
    for title, network in networks.items():
        with FlopCounterMode(display=False) as counter:
            runs[title]()
        count = sum(parameter.numel() for parameter in network.parameters())
        cells = [title, f"{count / 1e6:.2f} M", f"{counter.get_total_flops() / 2e9:.1f} G"]
        for precision in columns:
            median = statistics.median(seconds[title, precision])
            less = 1 - median / statistics.median(seconds[first, precision])
            cells += [f"{median:.3f}", f"{100 * less:.1f}%"]
        print("|", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
