"""Makes photos hostile, in every process that has this folder on its PYTHONPATH.

A photo whose file ends with one of these words does that to the process that decodes it: SEGFAULT,
EXIT, HANG (which no Python code can end), FREEZE (a hang of all threads, which is noticed after two
seconds here) or SWELL. With WORKER_DIES set to the path of a file, one
worker process ends at its start and deletes the file.
"""

import ctypes
import importlib.abc
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_MODULE = "stylebeam.pipeline.beam.steps"


def _make_hostile(steps: Any) -> None:
    decode = steps.decode

    def hostile(data: bytes, *arguments: Any) -> Any:
        if data.endswith(b"SEGFAULT"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if data.endswith(b"EXIT"):
            os._exit(0)
        if data.endswith(b"HANG"):
            threading.Event().wait()
        if data.endswith(b"FREEZE"):
            ctypes.PyDLL(None).pause()
        if data.endswith(b"SWELL"):
            bytearray(1 << 60)
        return decode(data, *arguments)

    steps.decode = hostile
    sys.modules["stylebeam.pipeline.beam.in_progress"]._SECONDS_FROZEN = 2.0  # type: ignore[attr-defined]


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute: Callable[[ModuleType], None] = spec.loader.exec_module

        def execute_and_change(module: ModuleType) -> None:
            execute(module)
            _make_hostile(module)

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _Finder())
if "stylebeam.pipeline.beam.worker" in sys.orig_argv:
    try:
        os.unlink(os.environ["WORKER_DIES"])
    except (KeyError, FileNotFoundError):
        pass
    else:
        os._exit(3)
