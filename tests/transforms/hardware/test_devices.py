"""Tests of what is known about a device."""

from types import SimpleNamespace

import pytest
import torch

from stylebeam.transforms.hardware.devices import device_memory


def test_the_memory_of_a_gpu_is_its_total_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = SimpleNamespace(total_memory=16 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    assert device_memory(torch.device("cuda")) == 16 * 2**30
