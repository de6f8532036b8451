"""Measures the peak memory of the command."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peak_memory import peak_of_process
from benchmarks.stylization.archive import Archive
from benchmarks.stylization.samples import table

MIB = 1 << 20
SIZES = ((750, 1000), (1500, 2000), (3000, 4000))
COUNTS = (50, 500)
SIZE_OF_MANY = (500, 700)
LIMIT = 0.8
PHOTOS_OF_A_LONG_RUN = 2000


def memory(rounds: int) -> Iterator[str]:
    """Yield the peak memory by the size of the photos and by their number."""
    cases = [(2, size, limit) for size in SIZES for limit in (None, LIMIT)]
    cases += [(count, SIZE_OF_MANY, None) for count in COUNTS]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count, (height, width), limit in cases:
            archive = Archive(Path(folder), [(height, width)] * count)
            settings = f"run: {{memory: {limit}}}" if limit else ""
            peak = archive.run(settings=settings).peak
            label = str(limit) if limit else "default"
            rows.append([str(count), f"{width}x{height}", label, f"{peak / MIB:.0f}"])
    yield table(["photos", "size", "run.memory, GB", "peak, MiB"], rows)


def growth(rounds: int) -> Iterator[str]:
    """Yield the growth of the peak memory during a long run with photos of many sizes."""
    count = PHOTOS_OF_A_LONG_RUN
    sizes = [(300 + number * 37 % 401, 300 + number * 53 % 397) for number in range(count)]
    peaks: list[int] = []

    def watch(pid: int, output: Path) -> None:
        for written in (count // 10, count):
            peak = peak_of_process(pid)
            while len(list(output.glob("*.jpg"))) < written:
                peak = peak_of_process(pid)
                time.sleep(0.2)
            peaks.append(peak)

    with tempfile.TemporaryDirectory() as folder:
        Archive(Path(folder), sizes).run(watch=watch)
    early, late = peaks
    yield f"{count} photos with sides of 300 to 700 pixels: the peak is {early / MIB:.0f} MiB after"
    yield f" the first tenth and {late / MIB:.0f} MiB at the end ({late / early - 1:+.1%}).\n"
