"""Tests of the memory limit of a container, and of the settings of allocators."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stylebeam.transforms.hardware import memory
from stylebeam.transforms.hardware.devices import device_memory

# Prints how many of fourteen freed blocks are available for requests of another size.
_SHOW_BLOCKS = """
import ctypes, os, sys
from stylebeam.transforms.hardware import memory
{call}
libc = ctypes.CDLL(None)
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
        "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]
libc.mallinfo2.restype = Info
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
size = 1008
blocks = [libc.malloc(size - 8) for _ in range(14)]
used = libc.mallinfo2().uordblks
for block in blocks:
    libc.free(block)
print(os.getpid(), sys.argv[1:], round((used - libc.mallinfo2().uordblks) / size))
"""

needs_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="the setting is one of glibc"
)


def run(code: str, *arguments: str, tunables: str | None = None) -> list[str]:
    """Run a program; return its process id, and the last line split at the first space."""
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    if tunables is not None:
        environment["GLIBC_TUNABLES"] = tunables
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        out, _ = process.communicate()
    assert process.returncode == 0
    return [str(process.pid), *out.splitlines()[-1].split(maxsplit=1)]


@needs_glibc
def test_freed_blocks_are_joined_in_a_process_with_the_same_id_and_command_line() -> None:
    process_id, printed_id, rest = run(
        _SHOW_BLOCKS.format(call="memory.join_freed_blocks()"), "a b", "c"
    )
    assert (printed_id, rest) == (process_id, "['a b', 'c'] 14")
    _, _, rest = run(_SHOW_BLOCKS.format(call=""), "a b", "c")
    assert rest != "['a b', 'c'] 14"


@needs_glibc
@pytest.mark.parametrize(
    ("command", "tunables", "expected"),
    [
        (["run", "photos.yaml"], None, "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"),
        (["run", "photos.yaml"], "glibc.malloc.trim_threshold=1", "glibc.malloc.trim_threshold=1"),
        (["schema"], None, "None"),
    ],
)
def test_commands_that_compute_join_freed_blocks_unless_the_user_has_set_tunables(
    command: list[str], tunables: str | None, expected: str
) -> None:
    # Nothing is executed, since that would import torch and Beam.
    code = """
import os, runpy, sys, types
execution = types.SimpleNamespace(execute=lambda args: print(os.environ.get("GLIBC_TUNABLES")) or 0)
sys.modules["stylebeam.pipeline.cli.execution"] = execution
runpy.run_module("stylebeam", run_name="__main__", alter_sys=True)
"""
    [printed] = run(code, *command, tunables=tunables)[1:]
    assert printed == expected


def test_the_memory_limit_of_a_container_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CGROUP_LIMITS", [])
    whole = memory.machine_memory()
    assert whole > 1e9
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "CGROUP_LIMITS", [str(limit), str(tmp_path / "missing")])
    limit.write_text("max\n")
    assert memory.machine_memory() == whole
    limit.write_text("500000000\n")
    assert memory.machine_memory() == 500_000_000
    assert device_memory(torch.device("cpu")) == 500_000_000
