"""Recipes, tasks and outcomes as values."""

import dataclasses

import pytest

from stylebeam.pipeline.archive.records import Outcome, Recipe, Task
from stylebeam.pipeline.methods.styles import Choice

CHOICE = Choice("style.safetensors", "ab" * 32, (("style", 1.0),))
RECIPE = Recipe("fast", CHOICE, "jpeg", 92)


def test_the_digest_of_a_recipe_is_stable() -> None:
    # If this value changes, the outputs of every archive count as outdated.
    assert RECIPE.digest == "5f9a1306c053c845"


def changed(**values: object) -> Recipe:
    """Return the recipe with some fields, its own or those of its choice, replaced."""
    of_choice = {name: value for name, value in values.items() if name in Choice._fields}
    others = {name: value for name, value in values.items() if name not in of_choice}
    return dataclasses.replace(RECIPE, choice=CHOICE._replace(**of_choice), **others)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "cd" * 32},
        {"styles": (("other", 1.0),)},
        {"strength": 0.5},
        {"processing_size": 1080},
        {"statistics": "thumbnail"},
        {"format": "png"},
        {"quality": 80},
        {"gps": "drop"},
    ],
)
def test_whatever_changes_pixels_changes_the_digest(change: dict[str, object]) -> None:
    assert changed(**change).digest != RECIPE.digest


def test_the_location_of_the_checkpoint_does_not_change_the_digest() -> None:
    moved = changed(checkpoint="gs://elsewhere/style.safetensors")
    assert moved.digest == RECIPE.digest


def test_an_outcome_is_restored_from_json() -> None:
    task = Task("holiday", "in/é \n.jpg", "out/é \n.jpg", RECIPE, "out", "stamp")
    for outcome in (
        task.outcome("done", 1.23456, (640, 480)),
        task.outcome("failed", 0.5, error='It said "no".'),
    ):
        line = outcome.to_json()
        assert "\n" not in line
        assert Outcome.from_json(line) == outcome
    assert task.outcome("done", 1.23456, (640, 480)).height == 480
