"""Measures stylization in tiles: quality, time and memory."""

import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.stylization.archive import Archive
from benchmarks.stylization.samples import (
    DEVICE,
    PRECISION,
    load_network,
    median_seconds,
    photo,
    table,
)
from stylebeam.transforms.evaluation.metrics import psnr
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer
from stylebeam.transforms.inference.tiles import divide
from stylebeam.transforms.inference.tiling import framed_indices, kept_bytes_per_pixel
from stylebeam.transforms.networks.style_network import STRIDE

MIB = 1 << 20
SIZE = (2160, 3840)
# Size, run.memory in GB and statistics of photos that are larger than the memory.
LARGE_PHOTOS = (((3000, 4000), 0.8, "exact"), ((11180, 17880), 1, "thumbnail"))


def tiles(rounds: int) -> Iterator[str]:
    """Yield the quality and time of tiles compared with whole photos, and the memory they take."""
    height, width = SIZE
    yield f"A photo of {width}x{height}. Gradients are relative to those up to 8 pixels away:\n\n"
    titles = [
        "network",
        "tiles",
        "PSNR, dB",
        "across vertical borders",
        "across horizontal borders",
    ]
    rows = [row for network in ("any_style", "johnson") for row in _quality(network, rounds)]
    yield table([*titles, "relative time"], rows)
    yield "\n"
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for (height, width), limit, statistics in LARGE_PHOTOS:
            settings = f"run: {{memory: {limit}}}\ndefaults: {{fast: {{statistics: {statistics}}}}}"
            run = Archive(Path(folder), [(height, width)]).run(settings=settings)
            measured = [f"{run.peak / MIB:.0f}", f"{run.first:.0f}"]
            rows.append([f"{width}x{height}", str(limit), statistics, *measured])
    yield table(["photo, in a run", "run.memory, GB", "statistics", "peak, MiB", "s"], rows)


def _quality(network: str, rounds: int) -> Iterator[list[str]]:
    """Yield the rows of a network: whole, in tiles, and in tiles with a thumbnail's statistics."""
    height, width = SIZE
    pixels = photo(height, width)
    checkpoint, style = load_network(network)
    built = checkpoint.build()
    # Enough for tiles, too little for the whole photo.
    limit = 1.1 * height * width * kept_bytes_per_pixel(built, PRECISION)
    whole = FeedForwardStylizer(checkpoint, DEVICE)
    tiled = FeedForwardStylizer(checkpoint, DEVICE, memory=int(limit))
    work = {
        "whole": partial(whole.stylize, pixels, styles=style),
        "exact": partial(tiled.stylize, pixels, styles=style),
        "thumbnail": partial(tiled.stylize, pixels, styles=style, statistics="thumbnail"),
    }
    results = {name: run() for name, run in work.items()}
    seconds = median_seconds(work, rounds)
    for name, image in results.items():
        quality = psnr(image[None] / 255, results["whole"][None] / 255).item()
        gradients = [_border_gradient(each, built.frame) for each in (image, image.mT)]
        row = [network, name, "-" if name == "whole" else f"{quality:.1f}"]
        row += [f"{gradient:.3f}" for gradient in gradients]
        row.append(f"{seconds[name] / seconds['whole']:.1f}")
        print(row, file=sys.stderr, flush=True)
        yield row


def _border_gradient(image: Tensor, frame: int) -> float:
    """Return the gradient across the vertical borders of tiles, relative to that beside them.

    Args:
        image: shape (3, H, W).
        frame: width in pixels of the border that the network adds to an image.
    """
    spans = divide(len(framed_indices(image.shape[2], frame)), 0)
    borders = torch.tensor([STRIDE * span.start - frame for span in spans[1:]])
    gradient = image.float().diff(dim=2).abs().mean((0, 1))
    beside = [gradient[borders - 1 + offset].mean() for offset in range(-8, 9) if offset]
    return (gradient[borders - 1].mean() / torch.stack(beside).mean()).item()
