"""The config of a sweep, as types."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from stylebeam.pipeline.config.run_config import RunConfig
from stylebeam.pipeline.config.yaml_nodes import Location
from stylebeam.pipeline.methods.contract import Strict
from stylebeam.pipeline.wording import one_line
from stylebeam.transforms.images.formats import FORMATS

_NOT_SWEPT = ("name", "input", "output")


class Axis(Strict):
    """A key of the batch and the values that are compared."""

    key: str = Field(description="The key, dotted and relative to the batch, as in fast.strength.")
    values: tuple[Any, ...] = Field(description="The values of the key.")

    @property
    def labels(self) -> list[str]:
        """The values as people read them."""
        return [one_line(value, quoted=False) for value in self.values]


class Axes(Strict):
    """The keys that are swept."""

    rows: Axis | None = Field(
        default=None, description="The key that differs from row to row; null for one row."
    )
    columns: Axis = Field(description="The key that differs from column to column.")


class SweepConfig(RunConfig):
    """The config of `stylebeam sweep`: a run with one batch, and the keys that are swept."""

    sweep: Axes = Field(description="The keys that are swept, and their values.")

    def mistakes(self) -> Iterator[tuple[Location, str]]:
        """Yield what is wrong with the axes, and between them and the batch."""
        yield from super().mistakes()
        if len(self.batches) > 1:
            yield ("batches",), f"a sweep takes one batch, not {len(self.batches)}"
        rows, columns = self.sweep.rows, self.sweep.columns
        if rows and rows.key == columns.key:
            yield ("sweep", "columns", "key"), f"{rows.key} is the key of the rows already"
        for name, axis in (("rows", rows), ("columns", columns)):
            if axis:
                yield from self._mistakes_of(axis, ("sweep", name))

    def _mistakes_of(self, axis: Axis, location: Location) -> Iterator[tuple[Location, str]]:
        if axis.key in _NOT_SWEPT:
            yield (*location, "key"), f"{axis.key} is the same for all cells; sweep another key"
        keys = {each.key for each in (self.sweep.rows, self.sweep.columns) if each}
        lossy = any(
            batch.format in FORMATS and FORMATS[batch.format].lossy for batch in self.batches
        )
        if axis.key == "quality" and not lossy and "format" not in keys:
            yield (
                (*location, "key"),
                "quality has an effect on JPEG and WebP, and cells are PNG unless the batch has a"
                " format; write format: jpeg or format: webp",
            )
        if not axis.values:
            yield (*location, "values"), "there must be at least one value"
        labels = axis.labels
        for position, label in enumerate(labels):
            if label in labels[:position]:
                yield (*location, "values", position), f"{label} is listed twice"
