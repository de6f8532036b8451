"""Recipes, tasks and outcomes as values."""

import dataclasses

import pytest

from stylebeam.pipeline.archive.records import Outcome, Recipe, Task
from stylebeam.pipeline.methods.styles import Choice

CHOICE = Choice("style.safetensors", "ab" * 32, (("style", 1.0),))
RECIPE = Recipe("fast", CHOICE, "jpeg", 92)


def test_the_digest_of_a_recipe_is_stable() -> None:
    # A change of this value makes every archive's results count as outdated.
    assert RECIPE.digest == "5f9a1306c053c845"


def changed(**values: object) -> Recipe:
    """Return the recipe with other values, of its own or of its choice."""
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
def test_whatever_alters_pixels_alters_the_digest(change: dict[str, object]) -> None:
    assert changed(**change).digest != RECIPE.digest


def test_where_the_weights_lie_does_not_alter_the_digest() -> None:
    moved = changed(checkpoint="gs://elsewhere/style.safetensors")
    assert moved.digest == RECIPE.digest


def test_an_outcome_comes_back_from_json() -> None:
    task = Task("holiday", "in/é \n.jpg", "out/é \n.jpg", RECIPE, "out", "stamp")
    for outcome in (
        task.outcome("done", 1.23456, (640, 480)),
        task.outcome("failed", 0.5, error='It said "no".'),
    ):
        line = outcome.to_json()
        assert "\n" not in line
        assert Outcome.from_json(line) == outcome
    assert task.outcome("done", 1.23456, (640, 480)).height == 480
