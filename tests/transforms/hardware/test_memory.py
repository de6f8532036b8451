"""How processes keep memory, in processes of their own."""

import os
import platform
import subprocess
import sys

import pytest

# Says how many of fourteen freed blocks are free for requests of another size.
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
    platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed blocks like this"
)


def say(code: str, *words: str, tunables: str | None = None) -> list[str]:
    """Run a program and return its process number and the words of its last line."""
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    if tunables is not None:
        environment["GLIBC_TUNABLES"] = tunables
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        out, _ = process.communicate()
    assert process.returncode == 0
    return [str(process.pid), *out.splitlines()[-1].split(maxsplit=1)]


@needs_glibc
def test_freed_blocks_are_joined_in_a_process_of_the_same_number_and_command_line() -> None:
    number, said, rest = say(_SHOW_BLOCKS.format(call="memory.join_freed_blocks()"), "a b", "c")
    assert (said, rest) == (number, "['a b', 'c'] 14")
    _, _, rest = say(_SHOW_BLOCKS.format(call=""), "a b", "c")
    assert rest != "['a b', 'c'] 14"


@needs_glibc
@pytest.mark.parametrize("tunables", [None, "glibc.malloc.trim_threshold=131072"])
def test_the_command_joins_freed_blocks_but_where_the_user_has_tunables(
    tunables: str | None,
) -> None:
    code = """
import atexit, os, runpy
atexit.register(lambda: print(os.environ["GLIBC_TUNABLES"]))
runpy.run_module("stylebeam", run_name="__main__", alter_sys=True)
"""
    [said] = say(code, "--version", tunables=tunables)[1:]
    assert said == (tunables or "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0")
