"""Settings of memory allocators, for processes that stylize images of many sizes.

Without them, the memory of such a process grows by fragmentation and by caches.
"""

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

# Tunables of glibc, described in its manual: no thread caches, no fast bins.
_NO_CACHED_BLOCKS = "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"

_KERNELS_KEPT = 128
_IMAGE_BLOCKS_KEPT = 4

CGROUP_LIMITS = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"
"""The files with the memory limit of a container, of cgroups version 2 and 1."""


def machine_memory() -> int:
    """Return the memory in bytes of this machine, or of the container of this process."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in CGROUP_LIMITS:
        with contextlib.suppress(OSError):
            text = Path(path).read_text().strip()
            limits += [int(text)] if text.isdecimal() else []
    return min(limits)


def join_freed_blocks() -> None:
    """Restart this process so that glibc joins every freed block with its free neighbors.

    By default, glibc caches small freed blocks for reuse. They lie between activations and split
    large free blocks: an optimization at 1024x1024 used a sixth more memory, and the second one
    more than the first. glibc reads this setting only when a process starts. Therefore the process
    is replaced by one with the same command line and process id; its child processes inherit the
    setting.

    Call it before anything else. It does nothing if the environment sets GLIBC_TUNABLES, or if the
    C library is not glibc.
    """
    if platform.libc_ver()[0] == "glibc" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = _NO_CACHED_BLOCKS
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def return_large_blocks() -> None:
    """Make glibc return every freed block of a megabyte or more to the system.

    This is for the activations of PyTorch. OpenVINO manages its own memory, and decoding photos
    would be a tenth slower. By default, glibc raises the threshold when blocks are freed, and then
    keeps blocks of up to 32 MB in a heap, which activations of different sizes fragment: 600 photos
    of a hundred sizes used 1.4 times the memory of 100 photos.

    It applies to the whole process, and does nothing if the C library is not glibc.
    """
    _set_malloc(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)


def keep_freed_blocks() -> None:
    """Make glibc keep every freed block for reuse.

    This is for computations that allocate the same blocks again and again, such as an optimization:
    the system clears the memory that it allocates, which took half of the time of an evaluation at
    1024x1024. Call `return_free_memory` after such a computation.

    It applies to the whole process, overrides `return_large_blocks` regardless of their order, and
    does nothing if the C library is not glibc.
    """
    _set_malloc(_M_MMAP_MAX, 0)
    _set_malloc(_M_TRIM_THRESHOLD, _MOST_BYTES)


def return_free_memory() -> None:
    """Make glibc return all free memory to the system; do nothing with other C libraries."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def keep_blocks_of_images() -> None:
    """Make Pillow keep a few blocks of memory, of up to 16 MB each, for the next images.

    The system clears the memory that it allocates, which takes a quarter of the time of decoding.
    It applies to the whole process, unless the environment sets PILLOW_BLOCKS_MAX.
    """
    if "PILLOW_BLOCKS_MAX" not in os.environ:
        # Pillow has read the environment already when it was imported.
        Image.core.set_blocks_max(_IMAGE_BLOCKS_KEPT)  # type: ignore[attr-defined]


def keep_few_kernels() -> None:
    """Limit the cache of oneDNN, which computes convolutions on CPUs, to a few image sizes.

    oneDNN compiles kernels for each image size and caches 1,024 of them by default: tens of
    megabytes that are hardly reused in an archive of many sizes. Call it before the first
    convolution of the process. The environment variable ONEDNN_PRIMITIVE_CACHE_CAPACITY takes
    precedence.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_KERNELS_KEPT))


def _set_malloc(option: int, value: int) -> None:
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(option, value)
