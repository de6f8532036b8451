"""The contract of a method: its options in a config, the files that they name, and its engine.

A method is one file in this folder and one row in the registry, `stylebeam.pipeline.methods`.
Nothing else in the project knows a method by its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from stylebeam.pipeline.methods.once import Once

if TYPE_CHECKING:
    import torch

    from stylebeam.pipeline.methods.style_files import KnownFile
    from stylebeam.transforms.backends.computation import Workload
    from stylebeam.transforms.engine import Engine


NEEDS_PHOTOS = (
    "these options adapt the method to the photos of a batch: use them in a config of stylebeam run"
)
"""Says why a method cannot be used without a config."""


class MethodError(ValueError):
    """A style, painting or checkpoint that cannot be found or used; says which and why.

    Attributes:
        option: the option that names it, if one does.
        beside: other options that make it wrong.
    """

    def __init__(self, message: str, option: str | None = None, *beside: str) -> None:
        super().__init__(message)
        self.option = option
        self.beside = beside


class Strict(BaseModel):
    """A part of a config: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def network_computation(device: torch.device, images: int) -> list[str]:
    """Return sentences that say what computes trained networks, and in which precision."""
    from stylebeam.transforms.backends import describe_backend, is_worth_compiling  # noqa: PLC0415
    from stylebeam.transforms.hardware.devices import (  # noqa: PLC0415
        describe_device,
        fast_precision,
    )

    precision = str(fast_precision(device)).removeprefix("torch.")
    sentences = (
        f"Networks are computed on {describe_device(device)} by {describe_backend(device)} in"
        f" {precision}."
    )
    if is_worth_compiling(device, images):
        sentences += " They are compiled first, which takes about a minute."
    return [sentences]


@dataclass(frozen=True)
class Resources:
    """What an engine may use.

    Attributes:
        device: where to compute.
        workload: how many photos are computed at once, and how many there will be.
        memory: bytes that all photos may take that are computed at once; None for no limit.
    """

    device: torch.device
    workload: Workload
    memory: int | None = None


class Resolved(ABC):
    """A method's options with a digest of each file that they name; a small value, without torch.

    Attributes:
        estimate_side: the side in pixels of the crop of a photo on which time is measured.
        needs_surroundings: whether a preview must compute more of a photo than it shows, because
            the surroundings of a crop change how the crop looks.
    """

    estimate_side: ClassVar[int] = 1024
    needs_surroundings: ClassVar[bool] = False

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """Everything that affects pixels, as plain values, with digests in place of paths.

        It is part of every recipe's digest: if it changes, archives are stylized again.
        """

    @property
    @abstractmethod
    def network_key(self) -> str:
        """A digest of what is loaded: methods with equal keys share one loaded network."""

    @abstractmethod
    def load(self, resources: Resources) -> Any:
        """Load the networks, which can take seconds; all threads share the result.

        Raises:
            MethodError: a file has changed since the options were resolved.
        """

    @abstractmethod
    def engine(self, network: Any) -> Engine:
        """Return the engine; this is fast.

        Args:
            network: what `load` returned, of a method with the same `network_key`.
        """

    @property
    def style(self) -> str:
        """The names of the styles or the paths of the paintings, with parts, for outcomes."""
        return ""

    def computation(self, device: torch.device, images: int) -> list[str]:
        """Return sentences about the device and the precision of the computation, for `validate`.

        Args:
            device: the device that computes.
            images: the number of images.
        """
        return []

    @property
    def scale(self) -> int:
        """By what each side of a photo grows; 1 where pictures have their photo's size."""
        return 1

    @property
    def short_side(self) -> int | None:
        """The short side in pixels to which larger photos are reduced; None to keep their size."""
        return None

    def adapted_to(self, photos: Sequence[KnownFile]) -> Resolved:
        """Return the same method, adapted to some of the photos that it will process.

        Args:
            photos: `photos_wanted` of them, or fewer.

        Raises:
            MethodError: a photo cannot be read.
        """
        return self

    def at_short_side(self, short_side: int) -> Resolved:
        """Return the same method for photos that are reduced to another short side, in pixels."""
        return self

    def for_preview(self) -> Resolved:
        """Return a faster form of the method, which shows what its results look like."""
        return self

    def measure(self, seconds: Callable[[Resolved, int], float]) -> float:
        """Return the seconds that a photo takes while others are computed beside it.

        Args:
            seconds: takes a form of this method and a number of rounds; computes in each round as
                many photos at once as a run does; returns the seconds for each photo.
        """
        seconds(self, 1)  # loads the network and compiles it
        return seconds(self, 2)


class MethodOptions(Strict, ABC):
    """The options of a method, a section of a batch in a config. `str` names the style."""

    example: ClassVar[str]
    """The shortest valid section, as YAML, for the message about a missing section."""

    @property
    def photos_wanted(self) -> int:
        """How many of a batch's photos the method is adapted to before it processes them."""
        return 0

    @classmethod
    def may_be_empty(cls) -> bool:
        """Return whether the section is valid without any option."""
        return not any(field.is_required() for field in cls.model_fields.values())

    @property
    def also_uses(self) -> Mapping[str, str]:
        """Other methods whose sections are needed too: by name, the option that needs them."""
        return {}

    @abstractmethod
    def check_files(self, once: Once) -> None:
        """Check that the user's files that the options name exist; download nothing.

        Args:
            once: calls functions that read files, and remembers their results.

        Raises:
            MethodError: a file cannot be found or used.
        """

    @abstractmethod
    def resolve(self, sections: Mapping[str, MethodOptions | None], once: Once) -> Resolved:
        """Find the files that the options name, and compute their digests.

        Args:
            sections: the options of the other methods in the same batch, by method.
            once: calls functions that read files, and remembers their results.

        Raises:
            MethodError: a file does not exist or cannot be used.
            WeightsUnavailableError: a loss network's weights cannot be found.
        """

    @classmethod
    def known_values(cls) -> Mapping[str, tuple[Mapping[str, Any], str]]:
        """Return options with fewer values than their types allow, for the JSON Schema.

        Returns:
            By option, the JSON Schema of its values, and the option that lifts this restriction.
        """
        return {}

    @classmethod
    def presets(cls) -> Mapping[str, Mapping[str, Any]]:
        """Return named sets of values for the options, for the documentation.

        Returns:
            By the preset's name, its values by option. Options without one keep their defaults.
        """
        return {}

    @classmethod
    def describe_schema(cls, properties: dict[str, Any]) -> None:
        """Add to the JSON Schema of the options what their types do not express.

        Args:
            properties: the schema of each option, by its name.
        """
