"""Photos, networks and the device of the measurements, and what all parts share."""

import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from stylebeam.transforms.checkpoints import Checkpoint, parse_checkpoint
from stylebeam.transforms.hardware.devices import choose_device, fast_precision

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "transforms" / "weights"
PHOTOS = sorted((ROOT / "samples" / "photos").glob("*.jpg"))
DEVICE = choose_device("auto")
PRECISION = fast_precision(DEVICE)
PRECISION_NAME = str(PRECISION).removeprefix("torch.")
# Network -> file of its checkpoint, style.
NETWORKS = {
    "johnson": ("johnson_udnie", "johnson_udnie"),
    "depsep": ("depsep_udnie", "depsep_udnie"),
    "any_style": ("any_style", "starry_night"),
}
# Side in pixels of the photos in most parts.
SIDE = 1024


def photo(height: int, width: int, number: int = 0) -> Tensor:
    """Return a sample photo at a size: RGB, uint8 of shape (3, H, W)."""
    with Image.open(PHOTOS[number % len(PHOTOS)]) as image:
        resized = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    return pil_to_tensor(resized)


def checkpoint_path(network: str) -> Path:
    """Return the path of a network's checkpoint."""
    file, _ = NETWORKS[network]
    return WEIGHTS / f"{file}.safetensors"


def load_network(network: str) -> tuple[Checkpoint, dict[str, float]]:
    """Return a network's checkpoint and its style."""
    _, style = NETWORKS[network]
    return parse_checkpoint(checkpoint_path(network).read_bytes()), {style: 1.0}


def median_seconds(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median time of each function, called in alternation after a warm-up round."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for number, (name, run) in itertools.product(range(rounds + 1), work.items()):
        started = time.perf_counter()
        run()
        if number:
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
