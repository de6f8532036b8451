"""Python loads this when a process of the soak starts: photos of certain sizes harm their process.

The soak puts this folder on PYTHONPATH. Nothing of it is in the product.
"""

import ctypes
import faulthandler
import os
import signal
import time
from typing import Any

from PIL import Image

from benchmarks.soak.poisons import kind_of

_MEMORY = 512 * 2**20
_GATE_SECONDS = 240

_open = Image.open


def _harm(kind: str) -> None:
    """Do to this process what a photo of a kind does."""
    if kind == "exit":
        os._exit(1)
    elif kind == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif kind == "hang":
        while True:
            time.sleep(60)
    elif kind == "freeze":  # A decoder that never returns and keeps Python's lock.
        ctypes.PyDLL(None).sleep(1_000_000)
    elif kind in ("swell", "oom"):
        memory = bytearray(_MEMORY)
        memory[:: 2**12] = b"x" * len(range(0, _MEMORY, 2**12))
        if kind == "oom":  # as the system's memory killer
            os.kill(os.getpid(), signal.SIGKILL)
        raise MemoryError


def _wait_at(gate: str) -> None:
    """Say that this process has come to the gate, and wait until it is open."""
    with open(f"{gate}.reached", "w"):
        pass
    deadline = time.monotonic() + _GATE_SECONDS
    while not os.path.exists(gate) and time.monotonic() < deadline:
        time.sleep(0.02)


def _open_with_harm(file: Any, *args: Any, **options: Any) -> Image.Image:
    if gate := os.environ.get("SOAK_GATE"):
        _wait_at(gate)
    image = _open(file, *args, **options)
    if kind := kind_of(image.size):
        _harm(kind)
    return image


if dumps := os.environ.get("SOAK_DUMPS"):
    Image.open = _open_with_harm  # type: ignore[assignment]
    # The soak asks a process that hangs where it stands.
    _dump = open(os.path.join(dumps, f"{os.getpid()}.txt"), "w")  # noqa: SIM115
    faulthandler.register(signal.SIGUSR1, _dump)
