"""Tests of recipes, tasks and outcomes."""

import dataclasses

import pytest

from stylebeam.pipeline.archive.records import Outcome, Recipe, Task
from stylebeam.pipeline.methods.checkpoints import CheckpointFile
from stylebeam.pipeline.methods.fast import ResolvedFast

FILE = CheckpointFile("style.safetensors", "ab" * 32)
OPTIONS = ResolvedFast(FILE, (("style", 1.0),))
RECIPE = Recipe("fast", OPTIONS, "jpeg", 92)


def test_the_digest_of_a_recipe_is_stable() -> None:
    # If this value changes, every archive is stylized again.
    assert RECIPE.digest == "5f9a1306c053c845"


def changed(**values: object) -> Recipe:
    """Return the recipe with changed values of its own, or of its options."""
    fields = {field.name for field in dataclasses.fields(ResolvedFast)}
    options = {name: value for name, value in values.items() if name in fields}
    others = {name: value for name, value in values.items() if name not in fields}
    return dataclasses.replace(RECIPE, options=dataclasses.replace(OPTIONS, **options), **others)


@pytest.mark.parametrize(
    "change",
    [
        {"checkpoint": CheckpointFile("style.safetensors", "cd" * 32)},
        {"styles": (("other", 1.0),)},
        {"strength": 0.5},
        {"processing_size": 1080},
        {"statistics": "thumbnail"},
        {"format": "png"},
        {"quality": 80},
        {"gps": "drop"},
    ],
)
def test_what_changes_pixels_changes_the_digest(change: dict[str, object]) -> None:
    assert changed(**change).digest != RECIPE.digest


def test_the_place_of_the_checkpoint_does_not_change_the_digest() -> None:
    moved = changed(checkpoint=FILE._replace(location="gs://elsewhere/style.safetensors"))
    assert moved.digest == RECIPE.digest


def test_an_outcome_can_be_written_to_json_and_read() -> None:
    task = Task("holiday", "in/é \n.jpg", "out/é \n.jpg", RECIPE.digest, "out", "stamp")
    for outcome in (
        task.outcome("done", 1.23456, (640, 480)),
        task.outcome("failed", 0.5, error='It said "no".'),
    ):
        line = outcome.to_json()
        assert "\n" not in line
        assert Outcome.from_json(line) == outcome
    assert task.outcome("done", 1.23456, (640, 480)).height == 480
