"""Replace a storage by another during a test."""

import pytest

from stylebeam.pipeline.storage.contract import Storage
from stylebeam.pipeline.storage.registry import STORAGES


def use_storage(monkeypatch: pytest.MonkeyPatch, scheme: str, storage: Storage) -> None:
    """Use a storage for a scheme of URIs until the monkeypatch is undone."""
    monkeypatch.setitem(STORAGES, scheme, lambda: storage)
