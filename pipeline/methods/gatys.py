"""The method `gatys`: optimization of the photo's own pixels (Gatys et al. 2016)."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from stylebeam.pipeline.methods.contract import MethodError, MethodOptions, Resolved, Resources
from stylebeam.pipeline.methods.fast import FastOptions, ResolvedFast
from stylebeam.pipeline.methods.once import Once
from stylebeam.pipeline.methods.parts import Parts, describe_parts
from stylebeam.pipeline.methods.style_files import (
    KnownFile,
    find_loss_networks,
    find_paintings,
    read_loss_network,
    read_painting,
)
from stylebeam.pipeline.wording import one_line
from stylebeam.transforms.gatys.settings import PRESETS, OptimizationSettings, PresetName
from stylebeam.transforms.losses.loss_network import LossNetworkName

if TYPE_CHECKING:
    import torch

    from stylebeam.transforms.gatys.engine import OptimizationEngine

PREVIEW_EVALUATIONS = 40
"""Evaluations of the loss in a preview: enough to show what the result looks like."""

# With which the time of an evaluation is measured.
_FEW_EVALUATIONS = 3


class GatysOptions(MethodOptions, OptimizationSettings):
    """Options of the optimization: a recipe by name, and values that differ from the recipe's."""

    example = "{style_image: painting.jpg}"

    renamed_keys: ClassVar[Mapping[str, str]] = {"memory": "history_size"}
    removed_keys: ClassVar[Mapping[str, str]] = {
        "batch_size": "each core optimizes one photo at a time; results never depended on it"
    }

    recipe: PresetName = Field(
        default="default", description="A preset: the values of all options that are not given."
    )
    style_image: Parts = Field(
        description="The path or URI of a painting, or several with their parts:"
        " {one.jpg: 0.3, other.jpg: 0.7}."
    )
    weights: str | None = Field(
        default=None,
        min_length=1,
        description="The path or URI of a file with VGG's weights; by default torch.hub's, which"
        " are downloaded once.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_the_recipe(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        name = values.get("recipe", "default")
        preset = PRESETS.get(name, {}) if isinstance(name, str) else {}
        return {**preset, **values}

    @model_validator(mode="after")
    def _weights_are_of_use(self) -> "GatysOptions":
        if self.weights is not None and self.networks == ("embedded",):
            raise ValueError("weights: are those of VGG, and loss_network: embedded has its own")
        return self

    @property
    def also_uses(self) -> Mapping[str, str]:
        return {"fast": "init: fast"} if self.init == "fast" else {}

    def check_files(self, once: Once) -> None:
        try:
            once(find_paintings, self.style_image)
        except MethodError as error:
            raise MethodError(str(error), "style_image") from error

    def resolve(self, sections: Mapping[str, MethodOptions | None], once: Once) -> "ResolvedGatys":
        fast = sections.get("fast") if self.init == "fast" else None
        settings = OptimizationSettings(
            **{name: getattr(self, name) for name in OptimizationSettings.model_fields}
        )
        layers = sorted({**settings.content_layers, **settings.style_layers})
        key = (settings.networks, settings.weights_convention, layers, self.weights)
        return ResolvedGatys(
            settings=settings,
            paintings=once(find_paintings, self.style_image),
            loss_networks=once(find_loss_networks, settings, self.weights, key=key),
            fast=fast.resolve({}, once) if isinstance(fast, FastOptions) else None,
        )

    @classmethod
    def presets(cls) -> Mapping[str, Mapping[str, Any]]:
        return PRESETS

    @classmethod
    def describe_schema(cls, properties: dict[str, Any]) -> None:
        for name, option in properties.items():
            if name in PRESETS["default"]:
                option["default"] = PRESETS["default"][name]
            by_recipe = [
                f"{recipe} {one_line(preset[name], quoted=False)}"
                for recipe, preset in PRESETS.items()
                if recipe != "default" and name in preset
            ]
            if by_recipe:
                option["description"] += f" By recipe: {', '.join(by_recipe)}."

    def __str__(self) -> str:
        return f"{self.recipe} {describe_parts(self.style_image)}"


@dataclass(frozen=True)
class ResolvedGatys(Resolved):
    """What photos are optimized towards, and how.

    Attributes:
        settings: what is minimized, and how.
        paintings: files, and their parts in the style, with the sum 1.
        loss_networks: the loss networks, each with the file of its weights.
        fast: the fast network whose result the optimization starts from, if it does.
    """

    settings: OptimizationSettings
    paintings: tuple[tuple[KnownFile, float], ...]
    loss_networks: tuple[tuple[LossNetworkName, KnownFile], ...]
    fast: ResolvedFast | None = None

    estimate_side = 256

    @property
    def identity(self) -> Mapping[str, Any]:
        return {
            "gatys": self.settings.identity(),
            "paintings": [(file.digest, part) for file, part in self.paintings],
            "loss_networks": [(name, file.digest) for name, file in self.loss_networks],
            "fast": self.fast and self.fast.identity,
        }

    @property
    def style(self) -> str:
        return describe_parts({file.location: part for file, part in self.paintings})

    @cached_property
    def network_key(self) -> str:
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()

    def load(self, resources: Resources) -> "OptimizationEngine":
        from stylebeam.transforms.gatys.engine import OptimizationEngine  # noqa: PLC0415

        return OptimizationEngine(
            self.settings,
            [(read_painting(file), part) for file, part in self.paintings],
            resources.device,
            weights={
                name: read_loss_network(file)
                for name, file in self.loss_networks
                if name != "embedded"
            },
            fast=self._first_picture(resources),
        )

    def _first_picture(self, resources: Resources) -> "Callable[[Any], Any] | None":
        """Return what makes the picture that the optimization starts from."""
        if self.fast is None:
            return None
        return self.fast.engine(self.fast.load(resources)).transform

    def engine(self, network: "OptimizationEngine") -> "OptimizationEngine":
        return network

    def computation(self, device: "torch.device", images: int) -> list[str]:
        import torch  # noqa: PLC0415

        from stylebeam.transforms.hardware.devices import (  # noqa: PLC0415
            describe_device,
            fast_gradient_precision,
        )

        precision = str(fast_gradient_precision(device)).removeprefix("torch.")
        own = (
            f"Photos are optimized on {describe_device(device)} by torch {torch.__version__} in"
            f" {precision}."
        )
        return [*(self.fast.computation(device, images) if self.fast else []), own]

    @property
    def short_side(self) -> int | None:
        return self.settings.size

    def at_short_side(self, short_side: int) -> "ResolvedGatys":
        return self._with(size=short_side)

    def for_preview(self) -> "ResolvedGatys":
        settings = self.settings
        return self._with(
            iterations=min(PREVIEW_EVALUATIONS, settings.iterations),
            finish_iterations=min(PREVIEW_EVALUATIONS, settings.finish_iterations),
        )

    def measure(self, seconds: Callable[[Resolved, int], float]) -> float:
        """Return the seconds of a photo if no level stops early."""
        settings = self.settings
        # Each coarser level has a quarter of the pixels, and half of the evaluations.
        counts = {"iterations": settings.iterations * sum(0.125**n for n in range(settings.levels))}
        if settings.finish != "none":
            counts["finish_iterations"] = settings.finish_iterations
        few = dict.fromkeys(counts, _FEW_EVALUATIONS)
        fixed = {"levels": 1, "init": "content", "size": None, "tolerance": 0.0}

        def seconds_of(evaluations: Mapping[str, int]) -> float:
            return seconds(self._with(**fixed, **evaluations), 1)

        seconds_of(few)
        start = seconds_of(few)
        each = {
            key: max(0.0, seconds_of({**few, key: 3 * _FEW_EVALUATIONS}) - start)
            / (2 * _FEW_EVALUATIONS)
            for key in counts
        }
        return start + sum(each[key] * (n - _FEW_EVALUATIONS) for key, n in counts.items())

    def _with(self, **changes: Any) -> "ResolvedGatys":
        return replace(self, settings=self.settings.model_copy(update=changes))
