"""Which storage a location belongs to."""

from stylebeam.pipeline.storage.beam_file_systems import BeamFileSystems
from stylebeam.pipeline.storage.contract import Storage
from stylebeam.pipeline.storage.google_cloud import GoogleCloudStorage
from stylebeam.pipeline.storage.local import LocalDisk

STORAGES: dict[str, Storage] = {
    "": LocalDisk(),
    "gs": GoogleCloudStorage(),
}
"""The storage of each scheme of URIs; "" is the scheme of paths."""

_OTHERS = BeamFileSystems()


def storage_of(location: str) -> Storage:
    """Return the storage of a path or URI: Beam's FileSystems if its scheme has no row above."""
    scheme, separator, _ = location.partition("://")
    return STORAGES.get(scheme if separator else "", _OTHERS)
