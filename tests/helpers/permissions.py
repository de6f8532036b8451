"""Make permissions of files apply to root too."""

import contextlib
import ctypes
import os
from collections.abc import Iterator

_VERSION = 0x20080522  # of linux/capability.h
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@contextlib.contextmanager
def permissions_apply() -> Iterator[None]:
    """Within a `with`, let this thread read and list only what the permissions of files allow."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = _Header(_VERSION, 0), (_Data * 2)()
    _check(libc.capget(ctypes.byref(header), data))
    before = data[0].effective
    data[0].effective &= ~(1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH)
    _check(libc.capset(ctypes.byref(header), data))
    try:
        yield
    finally:
        data[0].effective = before
        _check(libc.capset(ctypes.byref(header), data))


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), "the capabilities of this thread cannot be changed")
