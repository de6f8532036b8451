"""The storages of a soak: a volume on this machine, or a bucket behind a faulty proxy."""

import contextlib
import json
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from benchmarks.soak.folders import BucketFolder, DiskFolder, Folder
from tests.helpers.emulator import CREDENTIALS, running_emulator
from tests.helpers.faulty_proxy import FAULTS, FaultyProxy, Request

_VOLUME_SIZE = "256m"


class Place(NamedTuple):
    """Where a soak keeps its photos and outputs.

    Attributes:
        inputs: the folder of the photos.
        outputs: the folder of the outputs.
        volume: a small volume that holds the outputs; None if there is none.
        environment: variables for runs.
        set_faults: lets a share of the requests fail, chosen by a generator.
    """

    inputs: Folder
    outputs: Folder
    volume: Path | None
    environment: dict[str, str]
    set_faults: Callable[[float, random.Random], None]


@contextlib.contextmanager
def disk(base: Path) -> Iterator[Place]:
    """Make folders on this machine; the outputs on a small volume where mounting is allowed."""
    volume = base / "volume"
    volume.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_VOLUME_SIZE}", "soak", str(volume)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        inputs, outputs = DiskFolder(base, "photos"), DiskFolder(base, "volume/out")
        yield Place(inputs, outputs, volume if mounted else None, {}, lambda share, generator: None)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(volume)], check=True)


@contextlib.contextmanager
def bucket(base: Path) -> Iterator[Place]:
    """Run an emulator of Google Cloud Storage, and a proxy before it that runs use."""
    credentials = base / "credentials.json"
    credentials.write_text(json.dumps(CREDENTIALS))
    share, generator = 0.0, random.Random(0)

    def choose(request: Request) -> str | None:
        faults = (*FAULTS, "trickle")
        return generator.choice(faults) if generator.random() < share else None

    def set_faults(new_share: float, new_generator: random.Random) -> None:
        nonlocal share, generator
        share, generator = new_share, new_generator

    with running_emulator() as url, FaultyProxy(url, choose) as proxy:
        client = storage.Client(
            project="fake",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": url},
        )
        made = client.create_bucket("archive")
        environment = {
            "STORAGE_EMULATOR_HOST": proxy.url,
            "GOOGLE_APPLICATIONCREDENTIALS": str(credentials),
            "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA": "true",
        }
        inputs, outputs = BucketFolder(made, "photos"), BucketFolder(made, "out")
        yield Place(inputs, outputs, None, environment, set_faults)


STORAGES: dict[str, Callable[[Path], contextlib.AbstractContextManager[Place]]] = {
    "disk": disk,
    "bucket": bucket,
}
"""The storages by the name that `--storage` takes."""
