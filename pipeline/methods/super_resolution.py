"""The method `super_resolution`: photos at several times their size (Johnson et al. 2016)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from stylebeam.pipeline.methods.checkpoints import (
    EXTENSION,
    CheckpointFile,
    enlargement,
    find_super_resolution,
    read_unchanged,
    shipped_super_resolution,
)
from stylebeam.pipeline.methods.contract import (
    MethodError,
    MethodOptions,
    Resolved,
    Resources,
    network_computation,
)
from stylebeam.pipeline.methods.once import Once

if TYPE_CHECKING:
    import torch

    from stylebeam.transforms.inference.super_resolution import SuperResolutionEngine


class SuperResolutionOptions(MethodOptions):
    """Options of super-resolution."""

    example = "{checkpoint: x4_pixel}"

    checkpoint: str = Field(
        default="x4_pixel",
        min_length=1,
        description="A shipped network, or the path or URI of a .safetensors checkpoint.",
    )

    def check_files(self, once: Once) -> None:
        try:
            once(find_super_resolution, self.checkpoint)
        except MethodError as error:
            raise MethodError(str(error), "checkpoint") from error

    def resolve(
        self, sections: Mapping[str, MethodOptions | None], once: Once
    ) -> "ResolvedSuperResolution":
        checkpoint = once(find_super_resolution, self.checkpoint)
        return ResolvedSuperResolution(checkpoint, once(enlargement, checkpoint))

    @classmethod
    def describe_schema(cls, properties: dict[str, Any]) -> None:
        network = properties["checkpoint"]
        del network["type"], network["minLength"]
        path = {"type": "string", "pattern": rf"\{EXTENSION}$"}
        network["anyOf"] = [{"enum": shipped_super_resolution()}, path]

    def __str__(self) -> str:
        return self.checkpoint


@dataclass(frozen=True)
class ResolvedSuperResolution(Resolved):
    """The checkpoint of a super-resolution network.

    Attributes:
        checkpoint: the file.
        factor: by which the network enlarges each side.
    """

    checkpoint: CheckpointFile
    factor: int

    @property
    def identity(self) -> Mapping[str, Any]:
        # The two constants stand in the digests of archives that exist.
        return {"weights": self.checkpoint.digest, "styles": (), "strength": 1.0}

    @property
    def network_key(self) -> str:
        return self.checkpoint.digest

    @property
    def scale(self) -> int:
        return self.factor

    def computation(self, device: "torch.device", images: int) -> list[str]:
        return network_computation(device, images)

    def load(self, resources: Resources) -> "SuperResolutionEngine":
        from stylebeam.transforms.inference.super_resolution import (  # noqa: PLC0415
            SuperResolutionEngine,
        )

        checkpoint = read_unchanged(self.checkpoint)
        return SuperResolutionEngine(checkpoint, resources.device, workload=resources.workload)

    def engine(self, network: "SuperResolutionEngine") -> "SuperResolutionEngine":
        return network
