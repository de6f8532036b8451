"""Runs of the command over an archive of photos."""

import contextlib
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from torchvision.transforms.v2.functional import to_pil_image

from benchmarks.peak_memory import peak_of_process
from benchmarks.stylization.samples import NETWORKS, ROOT, checkpoint_path, photo

Watch = Callable[[int, Path], None]
"""Is called with the ID of a run's process and its output folder."""


class Run(NamedTuple):
    """Measurements of a run of the command.

    Attributes:
        first: seconds from the start to the first written image.
        rest: seconds from the first to the last written image.
        per_image: seconds per image between the first and the last.
        peak: peak memory of the process in bytes.
    """

    first: float
    rest: float
    per_image: float
    peak: int


class Archive:
    """A folder of JPEG photos to run the command over."""

    def __init__(self, folder: Path, sizes: Sequence[tuple[int, int]]) -> None:
        """Write photos.

        Args:
            folder: the archive is written to a new folder in it.
            sizes: height and width of each photo in pixels.
        """
        self.folder = folder / f"photos_{len(os.listdir(folder))}"
        self.folder.mkdir()
        self.megapixels = sum(height * width for height, width in sizes) / 1e6
        self.count = len(sizes)
        for number, (height, width) in enumerate(sizes):
            image = to_pil_image(photo(height, width, number))
            image.save(self.folder / f"{number:05}.jpg", quality=92)

    def run(
        self,
        network: str = "any_style",
        latency: float = 0.0,
        settings: str = "",
        display: Path | None = None,
        watch: Watch | None = None,
    ) -> Run:
        """Stylize the photos with the command and return the measurements.

        Args:
            network: name of the network.
            latency: seconds that each read and each write takes longer.
            settings: more lines of the config, in YAML.
            display: file for the time that the display takes; the command then runs in a terminal.
            watch: is called while the command runs.
        """
        output = self.folder.with_name(f"{self.folder.name}_out_{time.time_ns()}")
        _, style = NETWORKS[network]
        config = output.with_suffix(".yaml")
        config.write_text(
            f"batches: [{{name: all, input: {self.folder}, output: {output},"
            f" fast: {{style: {style}, checkpoint: {checkpoint_path(network)}}}}}]\n{settings}\n"
        )
        module = "benchmarks.stylization.measured_command"
        command = [sys.executable, "-m", module, str(config), "--latency", str(latency)]
        started = time.time()
        with contextlib.ExitStack() as stack:
            terminal = None
            if display:
                terminal = stack.enter_context(open_terminal())
                command += ["--display", str(display)]
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=terminal
            )
            if watch:
                watch(process.pid, output)
            # Not by wait4, which counts the memory that this process had when it forked.
            peak = 0
            while process.poll() is None:
                with contextlib.suppress(ValueError):  # The process has ended in between.
                    peak = peak_of_process(process.pid)
                time.sleep(0.1)
        written = sorted(path.stat().st_mtime for path in output.glob("*.jpg"))
        assert process.returncode == 0, "the run failed"
        assert len(written) == self.count, "a photo was not stylized"
        rest = written[-1] - written[0]
        return Run(written[0] - started, rest, rest / max(1, self.count - 1), peak)


@contextlib.contextmanager
def open_terminal() -> Iterator[int]:
    """Yield a descriptor of a terminal whose output is read and discarded."""
    controller, terminal = pty.openpty()

    def read_all() -> None:
        with contextlib.suppress(OSError):  # Linux raises this when the other end is closed.
            while os.read(controller, 65536):
                pass

    reader = threading.Thread(target=read_all)
    reader.start()
    try:
        yield terminal
    finally:
        os.close(terminal)
        reader.join()
        os.close(controller)
