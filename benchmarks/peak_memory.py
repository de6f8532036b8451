"""Runs a command and prints the peak memory of all its processes together (Linux).

python -m benchmarks.peak_memory stylebeam run configs/samples.yaml

Memory is the proportional set size: a page that several processes share is counted once.
"""

import subprocess
import sys
import time
from pathlib import Path

SECONDS_BETWEEN_SAMPLES = 0.1


def peak_of_process(pid: int | None = None) -> int:
    """Return the peak memory of a process so far, in bytes.

    Args:
        pid: ID of the process; None for this one.

    Raises:
        ValueError: the process has ended.
    """
    lines = Path(f"/proc/{pid or 'self'}/status").read_text().splitlines()
    [peak] = [1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return peak


def process_tree(pid: int) -> list[int]:
    """Return the IDs of a process and of all its running descendants."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children += [int(child) for child in task.read_text().split()]
        except OSError:
            continue  # The thread has ended in between.
    return [pid, *(found for child in children for found in process_tree(child))]


def proportional_set_size(pid: int) -> int:
    """Return the memory of a process in bytes, or 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def main() -> int:
    """Run the command in the arguments and return its exit code."""
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    started = time.monotonic()
    process = subprocess.Popen(sys.argv[1:])
    peak = most_processes = 0
    while process.poll() is None:
        tree = process_tree(process.pid)
        peak = max(peak, sum(map(proportional_set_size, tree)))
        most_processes = max(most_processes, len(tree))
        time.sleep(SECONDS_BETWEEN_SAMPLES)
    seconds = time.monotonic() - started
    print(f"peak memory {peak / 1e6:.0f} MB, {most_processes} processes, {seconds:.1f} s")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
