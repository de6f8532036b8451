"""Measures networks alone: pixels in memory to pixels in memory."""

import itertools
import sys
from collections.abc import Iterator
from functools import partial

import torch

from benchmarks.stylization.samples import (
    DEVICE,
    NETWORKS,
    PRECISION_NAME,
    median_seconds,
    photo,
    table,
)
from benchmarks.stylization.stylizers import (
    Stylize,
    compiled,
    eager,
    plain_loop,
    stylebeam,
    stylize_concurrently,
)
from stylebeam.transforms.backends import images_at_once
from stylebeam.transforms.evaluation.metrics import psnr

SIZES = {  # height, width
    "512x512": (512, 512),
    "1280x720": (720, 1280),
    "2048x2048": (2048, 2048),
    "4000x3000": (3000, 4000),
}
# Above this, plain PyTorch takes minutes and tens of gigabytes.
MAX_PLAIN_PIXELS = 2048 * 2048

PLAIN = "plain float32, s"
EAGER = f"eager {PRECISION_NAME}, s"
COMPILED = f"compiled {PRECISION_NAME}, s"
FLOAT32 = "stylebeam float32, s"
FAST = f"stylebeam {PRECISION_NAME}, s"


def networks(rounds: int) -> Iterator[str]:
    """Yield a table of networks alone, by backend and precision."""
    threads = images_at_once(DEVICE)
    concurrent = f"stylebeam {PRECISION_NAME}, {threads} at once, s/image"
    columns = [PLAIN, EAGER, COMPILED, FLOAT32, FAST, *([concurrent] if threads > 1 else [])]
    rows = []
    for (size, (height, width)), network in itertools.product(SIZES.items(), NETWORKS):
        pixels = photo(height, width)
        work: dict[str, Stylize] = {
            FLOAT32: stylebeam(network, torch.float32),
            FAST: stylebeam(network),
        }
        if height * width <= MAX_PLAIN_PIXELS:
            work[PLAIN] = plain_loop(network)
            work[EAGER] = stylebeam(network, backend=eager)
            work[COMPILED] = stylebeam(network, backend=compiled)
        calls = {name: partial(stylize, pixels) for name, stylize in work.items()}
        if threads > 1:
            stylize = stylebeam(network, at_once=threads)
            calls[concurrent] = partial(stylize_concurrently, stylize, [pixels] * threads, threads)
        seconds = median_seconds(calls, rounds)
        if threads > 1:
            seconds[concurrent] /= threads
        exact, fast = (work[name](pixels)[None] / 255 for name in (FLOAT32, FAST))
        cells = [_cell(seconds.get(name), seconds.get(PLAIN)) for name in columns]
        if PLAIN in seconds:
            cells[0] = f"{seconds[PLAIN]:.3f}"
        rows.append([network, size, *cells, f"{psnr(fast, exact).item():.1f}"])
        print(rows[-1], file=sys.stderr, flush=True)
    yield table(["network", "size", *columns, f"PSNR of {PRECISION_NAME}, dB"], rows)


def _cell(seconds: float | None, plain: float | None) -> str:
    """Return a time, and how many times as fast as the plain network it is."""
    if seconds is None:
        return "-"
    return f"{seconds:.3f}" + (f" ({plain / seconds:.1f}x)" if plain else "")
