"""Times the style networks relative to Johnson's, as in the table of Pandey et al. 2018.

python -m benchmarks.networks --width 1280 --height 720

The networks have random weights and are timed in alternation in one process, with images of one
size, in float32 and in stylebeam's precision on this machine. They are computed as stylebeam does
and, as published, one layer after the other.
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
    "any_style": ("any_style", {}),
}
DEVICE = choose_device("auto")


def build(title: str) -> nn.Module:
    """Return the network of a row of the table."""
    network = build_network(*NETWORKS[title]).eval().to(DEVICE)
    if title.endswith(_PLAIN):
        network = PlainJohnson(network)
    return network.to(memory_format=torch.channels_last)


def stylization_with(network: nn.Module, image: torch.Tensor) -> Callable[[], None]:
    """Return a function that stylizes the image once and waits for the result."""
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
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    image = torch.rand(1, 3, args.height, args.width, device=DEVICE)
    image = image.contiguous(memory_format=torch.channels_last)
    networks = {title: build(title) for title in NETWORKS}
    runs = {title: stylization_with(network, image) for title, network in networks.items()}
    precisions = {torch.float32, fast_precision(DEVICE)}
    seconds: dict[tuple[str, torch.dtype], list[float]] = {}
    for number in range(args.rounds + 1):
        for precision in precisions:
            for title, run in runs.items():
                with torch.autocast(DEVICE.type, precision, enabled=precision != torch.float32):
                    started = time.perf_counter()
                    run()
                elapsed = time.perf_counter() - started
                if number:  # The first round is a warm-up.
                    seconds.setdefault((title, precision), []).append(elapsed)
    columns = sorted(precisions, key=str, reverse=True)
    names = [str(precision).removeprefix("torch.") for precision in columns]
    titles = [title for name in names for title in (f"{name}, s", "reduction")]
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
            reduction = 1 - median / statistics.median(seconds[first, precision])
            cells += [f"{median:.3f}", f"{100 * reduction:.1f}%"]
        print("|", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
