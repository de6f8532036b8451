"""Decodes files in a process of its own, whose end and whose memory can be seen.

Run as `python -m tests.decode_apart FOLDER`, it prints a line of JSON for each file: its name, what
it became, the seconds that it took, and the largest memory of the process so far in MB.
"""

import json
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

from stylebeam.transforms.images.io import ImageError, decode

_ADDRESS_SPACE = 8 * 2**30
_MAX_PIXELS = 1_000_000


def decode_apart(
    files: Iterable[tuple[str, bytes]], folder: Path, timeout: float
) -> list[dict[str, object]]:
    """Return what became of each file; where the process ended early, fewer.

    Args:
        files: names and bytes.
        folder: where they may be put meanwhile.
        timeout: in seconds, after which the process is ended.
    """
    for name, data in files:
        (folder / name).write_bytes(data)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.decode_apart", str(folder)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        said, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    return [json.loads(line) for line in said.splitlines()]


def _largest_memory() -> float:
    """Return megabytes; what `resource` says begins with that of the process before."""
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1000


def _main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    for path in [None, *sorted(folder.iterdir())]:
        started = time.monotonic()
        try:
            # At first nothing, so that the memory of the libraries alone is known.
            result = "{}x{}".format(*decode(path.read_bytes(), _MAX_PIXELS).size) if path else ""
        except ImageError as error:
            result = f"ImageError: {error}"
        print(
            json.dumps(
                {
                    "name": path.name if path else "",
                    "result": result,
                    "seconds": time.monotonic() - started,
                    "megabytes": _largest_memory(),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
