"""The method `fast`: one pass of a trained style network (Johnson et al. 2016)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from stylebeam.pipeline.methods.checkpoints import (
    EXTENSION,
    CheckpointFile,
    find_styles,
    read_unchanged,
    shipped_styles,
)
from stylebeam.pipeline.methods.contract import (
    MethodError,
    MethodOptions,
    Resolved,
    Resources,
    network_computation,
)
from stylebeam.pipeline.methods.once import Once
from stylebeam.pipeline.methods.parts import Parts, describe_parts
from stylebeam.transforms.inference.tiling import Statistics

if TYPE_CHECKING:
    import torch

    from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer, StyleEngine


class FastOptions(MethodOptions):
    """Options of the fast feed-forward network."""

    example = "{style: starry_night}"

    checkpoint: str | None = Field(
        default=None,
        min_length=1,
        description="The path or URI of a checkpoint that holds several styles.",
    )
    style: Parts = Field(
        description="A style's name, or several with their parts: {starry_night: 0.3, udnie: 0.7}."
        " The names are those of shipped styles, or of the styles in checkpoint. Instead of a name,"
        " the path or URI of a .safetensors checkpoint with one style."
    )
    strength: float = Field(
        default=1.0,
        ge=0,
        le=1,
        strict=True,
        description="From 0, the photo, to 1, the stylized image.",
    )
    processing_size: int | None = Field(
        default=None,
        ge=64,
        strict=True,
        description="Short side in pixels at which larger photos are stylized, so that strokes have"
        " the size that they have in photos of that size; the result has the photo's size and its"
        " fine detail. null for the photo's own.",
    )
    statistics: Statistics = Field(
        default="exact",
        description="Which features the normalizations use: exact, those of the whole photo, or"
        " thumbnail, those of a thumbnail, which needs the least memory, for photos of hundreds of"
        " megapixels.",
    )

    def check_files(self, once: Once) -> None:
        try:
            once(find_styles, self.style, self.checkpoint)
        except MethodError as error:
            raise MethodError(str(error), "style", "checkpoint") from error

    def resolve(self, sections: Mapping[str, MethodOptions | None], once: Once) -> "ResolvedFast":
        checkpoint, styles = once(find_styles, self.style, self.checkpoint)
        return ResolvedFast(
            checkpoint, styles, self.strength, self.processing_size, self.statistics
        )

    @classmethod
    def describe_schema(cls, properties: dict[str, Any]) -> None:
        # Without a checkpoint, names are those of shipped styles.
        _, mapping = properties["style"]["anyOf"]
        properties["style"]["anyOf"].insert(0, {"enum": shipped_styles()})
        mapping["properties"] = dict.fromkeys(shipped_styles(), mapping["additionalProperties"])

    @classmethod
    def known_values(cls) -> Mapping[str, tuple[Mapping[str, Any], str]]:
        known = [{"enum": shipped_styles()}, {"type": "string", "pattern": rf"\{EXTENSION}$"}]
        names = {"type": "object", "propertyNames": {"anyOf": known}}
        return {"style": ({"anyOf": [*known, names]}, "checkpoint")}

    def __str__(self) -> str:
        return describe_parts(self.style)


@dataclass(frozen=True)
class ResolvedFast(Resolved):
    """A checkpoint, and how its styles are applied.

    Attributes:
        checkpoint: the file with the network and its styles.
        styles: names and their parts in the result, sorted by name, with the sum 1.
        strength: from 0, the photo, to 1, the stylized image.
        processing_size: the short side at which larger photos are stylized, in pixels; None for
            their own.
        statistics: which features the normalizations use.
    """

    checkpoint: CheckpointFile
    styles: tuple[tuple[str, float], ...]
    strength: float = 1.0
    processing_size: int | None = None
    statistics: Statistics = "exact"

    # What lies around a part decides how its features are normalized.
    needs_surroundings = True

    @property
    def identity(self) -> Mapping[str, Any]:
        decisive = {
            "weights": self.checkpoint.digest,
            "styles": self.styles,
            "strength": self.strength,
        }
        # Only where they are used: results from before these options existed stay up to date.
        if self.processing_size is not None:
            decisive["processing_size"] = self.processing_size
        if self.statistics != "exact":
            decisive["statistics"] = self.statistics
        return decisive

    @property
    def network_key(self) -> str:
        return self.checkpoint.digest

    def computation(self, device: "torch.device", images: int) -> list[str]:
        return network_computation(device, images)

    def load(self, resources: Resources) -> "FeedForwardStylizer":
        from stylebeam.transforms.inference.feed_forward import (  # noqa: PLC0415
            FeedForwardStylizer,
        )

        memory = resources.memory and resources.memory // resources.workload.at_once
        return FeedForwardStylizer(
            read_unchanged(self.checkpoint),
            resources.device,
            memory=memory,
            workload=resources.workload,
        )

    def engine(self, network: "FeedForwardStylizer") -> "StyleEngine":
        from stylebeam.transforms.inference.feed_forward import StyleEngine  # noqa: PLC0415

        return StyleEngine(
            network, dict(self.styles), self.strength, self.processing_size, self.statistics
        )

    @property
    def short_side(self) -> int | None:
        return self.processing_size

    def at_short_side(self, short_side: int) -> "ResolvedFast":
        return replace(self, processing_size=short_side)
