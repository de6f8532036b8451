"""The registry of storages, by the scheme of a URI."""

import functools
from collections.abc import Callable

from stylebeam.pipeline.storage.contract import Storage
from stylebeam.pipeline.storage.local import LocalDisk


def _google_cloud() -> Storage:
    # Only when it is needed: the client takes a while to import, and Beam longer.
    from stylebeam.pipeline.storage.google_cloud import GoogleCloudStorage  # noqa: PLC0415

    return GoogleCloudStorage()


def _beam_file_systems() -> Storage:
    from stylebeam.pipeline.storage.beam_file_systems import BeamFileSystems  # noqa: PLC0415

    return BeamFileSystems()


STORAGES: dict[str, Callable[[], Storage]] = {
    "": LocalDisk,
    "gs": _google_cloud,
}
"""What makes the storage of each scheme of URIs, when it is first used; "" is that of paths."""


def storage_of(location: str) -> Storage:
    """Return the storage of a path or URI: Beam's FileSystems if its scheme has no row above."""
    scheme, separator, _ = location.partition("://")
    return _made_by(STORAGES.get(scheme if separator else "", _beam_file_systems))


@functools.cache
def _made_by(make: Callable[[], Storage]) -> Storage:
    return make()
