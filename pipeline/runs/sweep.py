"""Sweeps: every combination of the values of two keys, side by side for each photo."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from PIL import Image

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import ledger
from stylebeam.pipeline.archive.records import Outcome, Task
from stylebeam.pipeline.config.file import ConfigError, load_and_resolve
from stylebeam.pipeline.config.mistakes import Problems
from stylebeam.pipeline.config.run_config import RunConfig
from stylebeam.pipeline.config.sweep_config import Axis, SweepConfig
from stylebeam.pipeline.methods.once import Once
from stylebeam.pipeline.runs.planning import BatchPlan, resolve
from stylebeam.pipeline.wording import one_line
from stylebeam.transforms.images.contact_sheet import contact_sheet, largest_cell
from stylebeam.transforms.images.thumbnails import thumbnail


class _Step(NamedTuple):
    """One value of an axis; `place` is that of the axis in the config."""

    place: str
    key: str
    value: Any

    @property
    def label(self) -> str:
        """The value, as people read it."""
        return one_line(self.value, quoted=False)

    @property
    def setting(self) -> str:
        """The override of the config that makes it so."""
        return setting_of(self.key, self.value)


class Sweep(NamedTuple):
    """A sweep that is ready to run.

    Attributes:
        config: the config.
        sheets: the plan of the batch as if the sheets were its outputs.
        cells: the plan of each cell, row by row.
    """

    config: SweepConfig
    sheets: BatchPlan
    cells: list[list[BatchPlan]]


def load_sweep(path: str, settings: Sequence[str]) -> Sweep:
    """Return the config of a sweep, and the plan of each cell.

    Every cell has a folder of its own below the batch's output. Cells are PNG, unless the batch
    has a format.

    Args:
        path: of the config, a path or URI.
        settings: overrides, as `load_config` takes them.

    Raises:
        ConfigError: the config is wrong, or that of a cell; the mistakes of all cells at once.
    """
    find = partial(resolve, once=Once())
    config, [sheets] = load_and_resolve(path, SweepConfig, settings, find)
    mistakes: list[str] = []
    cells: list[list[BatchPlan]] = []
    for row, row_steps in enumerate(_steps("rows", config.sweep.rows), start=1):
        cells.append([])
        for column, column_steps in enumerate(_steps("columns", config.sweep.columns), start=1):
            steps = [*row_steps, *column_steps]
            try:
                cell = _load_cell(path, settings, steps, find)
            except ConfigError as error:
                mistakes += error.mistakes
                continue
            values = ", ".join(f"{step.key}={step.label}" for step in steps)
            batch = cell.batch
            update = {
                "name": f"{batch.name}: {values}",
                "output": storage.join(batch.output, f"cells/{row}_{column}"),
                "format": "png" if batch.format == "same" else batch.format,
            }
            cells[-1].append(replace(cell, batch=batch.model_copy(update=update)))
    if mistakes:
        raise ConfigError(mistakes)
    sheets = replace(sheets, batch=sheets.batch.model_copy(update={"format": "png"}))
    return Sweep(config, sheets, cells)


def setting_of(key: str, value: Any) -> str:
    """Return the override that gives a key of the only batch a value, as `load_config` takes it.

    Args:
        key: dotted, and relative to the batch.
        value: anything that YAML can say.
    """
    # By its position, for the batch's name may hold a dot.
    return f"batches.0.{key}={one_line(value)}"


def write_sheets(sweep: Sweep, sheets: Iterable[Task | Outcome]) -> None:
    """Put the outputs of a sweep's run together, in one contact sheet for each photo.

    Args:
        sweep: what was run.
        sheets: for each photo, where to write its sheet.

    Raises:
        StorageError: an output cannot be read, or a sheet not be written.
        ImageError: an output is not the image that was written.
    """
    config = sweep.config
    rows, columns = config.sweep.rows, config.sweep.columns
    outputs = [[_outputs(cell.batch.output) for cell in row] for row in sweep.cells]
    largest = largest_cell(len(sweep.cells), len(columns.values))
    axes = [f"{name}: {axis.key}" for name, axis in (("rows", rows), ("columns", columns)) if axis]
    for task in sheets:
        if not task.output:  # A link that is not followed, or a folder that cannot be listed.
            continue
        images = [
            [_image(cell.get(task.input), config.run.max_pixels, largest) for cell in row]
            for row in outputs
        ]
        sheet = contact_sheet(
            images,
            row_labels=rows.labels if rows else [""],
            column_labels=columns.labels,
            title="; ".join([task.input, *axes]),
        )
        buffer = io.BytesIO()
        sheet.save(buffer, "PNG")
        storage.write(task.output, buffer.getvalue(), "image/png")


def _steps(name: str, axis: Axis | None) -> list[list[_Step]]:
    """Return what is to be set in each row, or each column; without an axis, there is one."""
    if axis is None:
        return [[]]
    return [[_Step(f"sweep.{name}", axis.key, value)] for value in axis.values]


def _load_cell(
    path: str,
    settings: Sequence[str],
    steps: Sequence[_Step],
    find: Callable[[RunConfig, Problems], list[BatchPlan]],
) -> BatchPlan:
    """Return the plan of a cell, with the values of both axes."""
    # In the order of the keys, for a mapping must not replace what is set within it.
    overrides = [step.setting for step in sorted(steps, key=lambda step: step.key)]
    try:
        # Notes are about the config, and were given when it was loaded without the overrides.
        settings = [*settings, *overrides]
        _, [plan] = load_and_resolve(path, SweepConfig, settings, find, note=lambda text: None)
        return plan
    except ConfigError as error:
        raise ConfigError(_placed(mistake, path, steps) for mistake in error.mistakes) from None


def _placed(mistake: str, path: str, steps: Sequence[_Step]) -> str:
    """Name the axis in the place of an override that the user did not write."""
    for step in steps:
        if mistake.startswith(source := f"--set {step.setting}"):
            return f"{path}: {step.place}{mistake.removeprefix(source)}"
    return mistake


def _outputs(folder: str) -> dict[str, str]:
    """Return where each photo's output of a cell lies, but for those that failed."""
    outcomes = ledger.read_outcomes(folder)
    return {each.input: each.output for each in outcomes if each.status != "failed"}


def _image(path: str | None, max_pixels: int, largest: tuple[int, int]) -> Image.Image | None:
    """Return an output, reduced to its cell as all of a sheet are held at once; None for none."""
    return None if path is None else thumbnail(storage.read(path), largest, max_pixels)
