"""Decode files in a subprocess, so that crashes and memory are seen.

`python -m tests.helpers.subprocess_decoding FOLDER` prints a line of JSON for each file: its name,
the result, and the largest memory of the process so far in MB.
"""

import json
import resource
import subprocess
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.formats import ImageError

_ADDRESS_SPACE = 8 * 2**30
_MAX_PIXELS = 1_000_000


def decode_in_subprocess(
    files: Iterable[tuple[str, bytes]], folder: Path, timeout: float
) -> list[dict[str, object]]:
    """Return the result for each file; fewer if the process crashed or was killed.

    Args:
        files: names and contents.
        folder: where to write the files.
        timeout: seconds after which the process is killed.

    Returns:
        Mappings with `name`, `result` (the image's size as WIDTHxHEIGHT, or the error) and
        `megabytes`. The first is for no file, and has the memory that the libraries need.
    """
    for name, data in files:
        (folder / name).write_bytes(data)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.subprocess_decoding", str(folder)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
    return [json.loads(line) for line in output.splitlines()]


def _largest_memory() -> float:
    """Return megabytes. `resource.getrusage` would include memory of the parent process."""
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1000


def _result(path: Path) -> str:
    try:
        width, height = decode(path.read_bytes(), _MAX_PIXELS).size
    except ImageError as error:
        return f"ImageError: {error}"
    return f"{width}x{height}"


def _main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    _print_line("", "")
    for path in sorted(folder.iterdir()):
        _print_line(path.name, _result(path))


def _print_line(name: str, result: str) -> None:
    line = {"name": name, "result": result, "megabytes": _largest_memory()}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
