"""The method `fast`: one pass of a trained style network (Johnson et al. 2016)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

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
from stylebeam.pipeline.methods.predicted_styles import (
    PredictedStyle,
    find_predictable,
    predict_blend,
)
from stylebeam.pipeline.methods.style_files import KnownFile, find_paintings
from stylebeam.transforms.inference.tiling import Statistics

if TYPE_CHECKING:
    import torch

    from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer, StyleEngine


_PHOTOS_TO_REFINE_ON = 4

Colors = Literal["painting", "luminance", "histogram"]


class FastOptions(MethodOptions):
    """Options of the fast feed-forward network."""

    example = "{style: starry_night}"

    checkpoint: str | None = Field(
        default=None,
        min_length=1,
        description="The path or URI of a checkpoint that holds several styles.",
    )
    style_image: Parts | None = Field(
        default=None,
        description="The path or URI of a painting, whose style is predicted from it, or several"
        " with their parts: {one.jpg: 0.3, other.jpg: 0.7}. With style, all of them are blended.",
    )
    style: Parts | None = Field(
        default=None,
        validate_default=True,
        description="A style's name, or several with their parts: {starry_night: 0.3, udnie: 0.7}."
        " The names are those of shipped styles, or of the styles in checkpoint. Instead of a name,"
        " the path or URI of a .safetensors checkpoint with one style.",
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
    refine: float | None = Field(
        default=None,
        gt=0,
        strict=True,
        description="Refine the predicted style of each style_image on a few photos of the batch,"
        " once, for about this many seconds on two CPU cores.",
    )
    colors: Colors = Field(
        default="painting",
        description="Where colors come from: the painting; or the photo, either by changing nothing"
        " but its luminance (luminance) or by giving the picture the mean and covariance of its"
        " colors (histogram).",
    )
    statistics: Statistics = Field(
        default="exact",
        description="Which features the normalizations use: exact, those of the whole photo, or"
        " thumbnail, those of a thumbnail, which needs the least memory, for photos of hundreds of"
        " megapixels.",
    )

    @field_validator("style")
    @classmethod
    def _check_style(cls, style: Any, info: ValidationInfo) -> Any:
        # A style_image that is wrong is reported itself.
        if style is None and info.data.get("style_image", "wrong") is None:
            raise PydanticCustomError("missing", "a style or a style_image is missing")
        return style

    @model_validator(mode="after")
    def _check_refine(self) -> "FastOptions":
        if self.refine is not None and not self.style_image:
            raise ValueError("refine is for a predicted style, and needs style_image")
        return self

    @property
    def photos_wanted(self) -> int:
        return 0 if self.refine is None else _PHOTOS_TO_REFINE_ON

    @classmethod
    def may_be_empty(cls) -> bool:
        return False

    def check_files(self, once: Once) -> None:
        if self.style_image:
            try:
                once(find_paintings, self.style_image)
            except MethodError as error:
                raise MethodError(str(error), "style_image") from error
        if not self._named:
            return  # A mistake that is reported already.
        try:
            self._find_checkpoint(once)
        except MethodError as error:
            raise MethodError(str(error), *self._named, "checkpoint") from error

    def resolve(self, sections: Mapping[str, MethodOptions | None], once: Once) -> "ResolvedFast":
        checkpoint, styles = self._find_checkpoint(once)
        resolved = ResolvedFast(
            checkpoint,
            styles,
            self.strength,
            self.processing_size,
            self.statistics,
            self.colors,
        )
        if not self.style_image:
            return resolved
        predicted = once(predict_blend, checkpoint, styles, self.style_image)
        rest = (1 - sum(share for _, share in styles)) / sum(self.style_image.values())
        paintings = tuple((path, rest * part) for path, part in self.style_image.items())
        return replace(resolved, predicted=predicted, paintings=paintings, refine=self.refine)

    @property
    def _named(self) -> list[str]:
        return [name for name in ("style", "style_image") if getattr(self, name)]

    def _find_checkpoint(self, once: Once) -> tuple[CheckpointFile, tuple[tuple[str, float], ...]]:
        if self.style_image:
            return once(find_predictable, self.style or {}, self.style_image, self.checkpoint)
        return once(find_styles, self.style or {}, self.checkpoint)

    @classmethod
    def describe_schema(cls, properties: dict[str, Any]) -> None:
        # Without a checkpoint, names are those of shipped styles.
        _, mapping, _ = properties["style"]["anyOf"]
        properties["style"]["anyOf"].insert(0, {"enum": shipped_styles()})
        mapping["properties"] = dict.fromkeys(shipped_styles(), mapping["additionalProperties"])

    @classmethod
    def known_values(cls) -> Mapping[str, tuple[Mapping[str, Any], str]]:
        known = [{"enum": shipped_styles()}, {"type": "string", "pattern": rf"\{EXTENSION}$"}]
        names = {"type": "object", "propertyNames": {"anyOf": known}}
        return {"style": ({"anyOf": [*known, names]}, "checkpoint")}

    def __str__(self) -> str:
        return " + ".join(
            describe_parts(parts) for parts in (self.style, self.style_image) if parts
        )


@dataclass(frozen=True)
class ResolvedFast(Resolved):
    """A checkpoint, and how its styles are applied.

    Attributes:
        checkpoint: the file with the network and its styles.
        styles: names and their parts in the result, sorted by name; their sum is 1 without
            paintings.
        strength: from 0, the photo, to 1, the stylized image.
        processing_size: the short side at which larger photos are stylized, in pixels; None for
            their own.
        statistics: which features the normalizations use.
        colors: where colors come from.
        predicted: the style if a part of it is predicted from paintings; otherwise None.
        paintings: the paintings' paths or URIs, and their parts in the result.
        refine: how long, in seconds, the predicted styles are refined on photos.
    """

    checkpoint: CheckpointFile
    styles: tuple[tuple[str, float], ...]
    strength: float = 1.0
    processing_size: int | None = None
    statistics: Statistics = "exact"
    colors: Colors = "painting"
    predicted: PredictedStyle | None = None
    paintings: tuple[tuple[str, float], ...] = ()
    refine: float | None = None

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
        if self.colors != "painting":
            decisive["colors"] = self.colors
        if self.predicted is not None:
            decisive["predicted"] = self.predicted.sources
        return decisive

    @property
    def network_key(self) -> str:
        return self.checkpoint.digest

    @property
    def style(self) -> str:
        return describe_parts(dict([*self.styles, *self.paintings]))

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
            network,
            dict(self.styles) if self.predicted is None else self.predicted.as_tensor(),
            self.strength,
            self.processing_size,
            self.statistics,
            kept_colors=None if self.colors == "painting" else self.colors,
        )

    def adapted_to(self, photos: Sequence[KnownFile]) -> "ResolvedFast":
        predicted = predict_blend(
            self.checkpoint, self.styles, dict(self.paintings), self.refine, photos
        )
        return replace(self, predicted=predicted)

    @property
    def short_side(self) -> int | None:
        return self.processing_size

    def at_short_side(self, short_side: int) -> "ResolvedFast":
        return replace(self, processing_size=short_side)
