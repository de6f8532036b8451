"""Keeps the memory of a process that stylises images of many sizes from growing."""

import contextlib
import ctypes
import os
import platform
import sys
from pathlib import Path

from PIL import Image

# malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4
_THRESHOLD_BYTES = 1 << 20
_MOST_BYTES = (1 << 31) - 1

# Tunables of the GNU C Library, by its manual: no thread caches, no fast bins.
_NO_BLOCKS_APART = "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"

_KERNELS_KEPT = 128
_IMAGE_BLOCKS_KEPT = 4

_CGROUP_LIMITS = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"


def machine_memory() -> int:
    """Return the bytes of memory of this machine, or of the container that this process runs in."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _CGROUP_LIMITS:
        with contextlib.suppress(OSError):
            text = Path(path).read_text().strip()
            limits += [int(text)] if text.isdecimal() else []
    return min(limits)


def join_freed_blocks() -> None:
    """Have the C library join every freed block with its free neighbours, in a process begun anew.

    By default glibc keeps small blocks apart for the next small ones. Beside activations they part
    large free blocks, ever others: an optimisation at 1024x1024 took a sixth more memory, and the
    one after it more than the first. glibc is told at the start of a process alone. So this one is
    replaced by another with the same command line and number, and those that it starts are like it.

    Call it before anything else. Tunables that the user's environment names go first; does nothing
    where the C library is another.
    """
    if platform.libc_ver()[0] == "glibc" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = _NO_BLOCKS_APART
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def return_large_blocks() -> None:
    """Have the C library give every freed block of a megabyte or more back to the system.

    For activations of PyTorch; OpenVINO keeps its own, and photos alone would be slower by a tenth.
    By default glibc raises this threshold as blocks are freed, and from then on keeps blocks of up
    to 32 MB in a heap, which activations of ever other sizes fragment: 600 photos of a hundred
    sizes took 1.4 times the memory of 100. Holds for the whole process; does nothing where the C
    library is another.
    """
    _set_malloc(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)


def keep_freed_blocks() -> None:
    """Have the C library keep every freed block for the next of its size.

    For computations that need the same blocks over and over, such as an optimisation: the system
    clears memory that it gives out, which at 1024x1024 took half of an evaluation's time. Call
    `return_free_memory` after them. Holds for the whole process, and goes before
    `return_large_blocks`, whichever is called last; does nothing where the C library is another.
    """
    _set_malloc(_M_MMAP_MAX, 0)
    _set_malloc(_M_TRIM_THRESHOLD, _MOST_BYTES)


def return_free_memory() -> None:
    """Have the C library give what has been freed back to the system, if it is glibc."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def keep_blocks_of_images() -> None:
    """Have Pillow keep a few blocks of memory, of up to 16 MB, for the next images.

    The system clears memory that it gives out, which takes a quarter of the time of decoding.
    Holds for the whole process; a number that the user's environment names goes first.
    """
    if "PILLOW_BLOCKS_MAX" not in os.environ:
        # When this is called, it is too late for the variable.
        Image.core.set_blocks_max(_IMAGE_BLOCKS_KEPT)  # type: ignore[attr-defined]


def keep_few_kernels() -> None:
    """Have oneDNN, which convolves on CPUs, keep the kernels of the last few image sizes alone.

    It makes kernels for each size of image that it meets, and keeps 1,024 by default: tens of
    megabytes that an archive of many sizes has no use for. Call it before the first convolution of
    the process; a capacity that the user's environment names goes first.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_KERNELS_KEPT))


def _set_malloc(option: int, value: int) -> None:
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(option, value)
