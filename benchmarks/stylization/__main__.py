"""Measures stylization and prints Markdown.

python -m benchmarks.stylization                    # all parts, to benchmarks/RESULTS.md: an hour
python -m benchmarks.stylization networks tiles     # some parts, to the terminal
"""

import argparse
import importlib.metadata
import os
import platform
from collections.abc import Callable, Iterator

from benchmarks.stylization.memory import growth, memory
from benchmarks.stylization.networks import networks
from benchmarks.stylization.samples import DEVICE, ROOT
from benchmarks.stylization.throughput import display, latency, many_sizes, start, whole_runs
from benchmarks.stylization.tiles import tiles
from stylebeam.transforms.backends import describe_backend

PARTS: dict[str, tuple[str, Callable[[int], Iterator[str]]]] = {
    "networks": ("Networks alone", networks),
    "archive": ("Whole runs", whole_runs),
    "sizes": ("Photos of many sizes", many_sizes),
    "latency": ("Slow storage", latency),
    "memory": ("Peak memory", memory),
    "growth": ("Peak memory of a long run", growth),
    "tiles": ("Photos larger than memory", tiles),
    "start": ("Start", start),
    "display": ("Display", display),
}


def machine() -> str:
    """Return a line about the machine and the software."""
    names = ["torch", "openvino", "apache-beam"]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in names]
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if "model name" in line), "")
    return (
        f"{os.cpu_count()} cores, {model}; {describe_backend(DEVICE)};"
        f" Python {platform.python_version()}, {', '.join(versions)}.\n"
    )


def main() -> None:
    """Measure the parts that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=3, help="repetitions of each measurement")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    sections = [f"# Results\n\n{machine()}"]
    for name in args.parts or PARTS:
        title, measure = PARTS[name]
        sections.append(f"## {title}\n\n" + "".join(measure(args.rounds)))
    text = "\n".join(sections)
    print(text)
    if not args.parts:
        (ROOT / "benchmarks" / "RESULTS.md").write_text(text)


if __name__ == "__main__":
    main()
