"""A method without a network, which makes negatives, fails for black images and counts loads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from stylebeam.pipeline.archive.records import Recipe
from stylebeam.pipeline.methods.contract import Resolved, Resources
from stylebeam.transforms.engine import NO_CONTROL, Control, Engine


def negative(pixels: Tensor) -> Tensor:
    """Return the negative of an image; black images fail as if memory were short."""
    if pixels.max() == 0:
        raise RuntimeError("too dark")
    return 255 - pixels


class FakeEngine(Engine):
    """An engine that calls a function."""

    def __init__(self, function: Callable[[Tensor], Tensor], memory: int, cores: int | None):
        self._function = function
        self._memory = memory
        self.cores_wanted = cores

    def transform(self, pixels: Tensor, control: Control = NO_CONTROL) -> Tensor:
        control.step(0.0)
        return self._function(pixels)

    def memory_needed(self, width: int, height: int) -> int:
        return self._memory


@dataclass(frozen=True)
class FakeMethod(Resolved):
    """Options of a method whose engine calls a function.

    Attributes:
        name: of the network that it pretends to load.
        function: what the engine does with pixels.
        memory: bytes that the engine says it needs.
        cores: that the engine wants.
        loads: receives the name with each load.
        scale_of_pictures: by which it says that photos grow.
    """

    name: str = "fake"
    function: Callable[[Tensor], Tensor] = negative
    memory: int = 0
    cores: int | None = 1
    loads: list[str] = field(default_factory=list, compare=False)
    scale_of_pictures: int = 1

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"weights": self.name}

    @property
    def scale(self) -> int:
        return self.scale_of_pictures

    @property
    def network_key(self) -> str:
        return self.name

    def load(self, resources: Resources) -> str:
        self.loads.append(self.name)
        return self.name

    def engine(self, network: str) -> FakeEngine:
        return FakeEngine(self.function, self.memory, self.cores)


def fake_recipe(**options: Any) -> Recipe:
    """Return a recipe of the fake method that writes PNG."""
    return Recipe("fake", FakeMethod(**options), "png", 92)


def gray(side: int = 32, value: int = 90) -> Tensor:
    """Return a constant image, one pixel wider than high."""
    return torch.full((3, side, side + 1), value, dtype=torch.uint8)
