"""Mistakes in the values of a config: pydantic's errors in plain words, and others."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import pydantic

from stylebeam.pipeline.config import yaml_nodes
from stylebeam.pipeline.config.yaml_nodes import Location, Tree
from stylebeam.pipeline.suggestions import nearest
from stylebeam.pipeline.wording import one_line

_MESSAGES = {
    "missing": "this key is missing",
    "tuple_type": "must be a list{but_is}",
    "model_type": "must be a mapping of keys to values{but_is}",
    "dict_type": "must be a mapping of keys to values{but_is}",
    "bool_type": "must be true or false{but_is}",
    "string_type": "must be text{but_is}",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "int_type": "must be a whole number{but_is}",
    "int_parsing": "must be a whole number{but_is}",
    "int_from_float": "must be a whole number{but_is}",
    "float_type": "must be a number{but_is}",
    "float_parsing": "must be a number{but_is}",
    "finite_number": "must be a finite number{but_is}",
    "greater_than": "must be more than {gt}{but_is}",
    "greater_than_equal": "must be at least {ge}{but_is}",
    "less_than": "must be less than {lt}{but_is}",
    "less_than_equal": "must be at most {le}{but_is}",
    "literal_error": "must be {expected}{but_is}",
}
"""Our words for pydantic's types of errors; other types keep pydantic's message."""

_LONGEST_VALUE = 60
_FIRST_WITH_EXPONENT = 1e16  # Python writes larger whole floats with an exponent.


class Mistake(NamedTuple):
    """What is wrong with a value.

    Attributes:
        location: where the value is.
        message: what is wrong with it.
        depends_on: the locations of other values that make it wrong.
    """

    location: Location
    message: str
    depends_on: tuple[Location, ...] = ()


class Problems:
    """Collects what is wrong with the files, styles and paintings that a config names.

    Attributes:
        found: the mistakes, with their locations in the whole config.
    """

    def __init__(self, already: bool = False) -> None:
        """Start without mistakes.

        Args:
            already: whether the config is known to have other mistakes.
        """
        self.found: list[Mistake] = []
        self._already = already
        self._location: Location = ()

    def __bool__(self) -> bool:
        """Whether the config has a mistake, of this or of another kind."""
        return self._already or bool(self.found)

    def at(self, *location: str | int) -> "Problems":
        """Return a collector for a part of the config; mistakes added to it are added here too."""
        part = Problems(self._already)
        part.found = self.found
        part._location = (*self._location, *location)
        return part

    def add(self, location: Location, message: str, depends_on: Iterable[Location] = ()) -> None:
        """Add a mistake, with locations relative to the part that this collector is for.

        Args:
            location: where the wrong value is.
            message: what is wrong with it; printed after the key.
            depends_on: the locations of other values that make it wrong. If one of them is itself
                invalid, and so was left out, this mistake is not reported.
        """
        others = tuple((*self._location, *each) for each in depends_on)
        self.found.append(Mistake((*self._location, *location), message, others))


def mistakes_in(
    errors: pydantic.ValidationError, root: Tree, prefix: Location = ()
) -> list[Mistake]:
    """Return pydantic's errors in plain words, one for each location.

    Args:
        errors: what pydantic found.
        root: the config.
        prefix: the location of what was validated.
    """
    mistakes: dict[Location, Mistake] = {}
    for error in errors.errors(include_url=False):
        mistake = _mistake(error, root, prefix)
        # A value that may have several types has an error for each of them: the first is enough.
        mistakes.setdefault(mistake.location, mistake)
    return list(mistakes.values())


def _mistake(error: Any, root: Tree, prefix: Location) -> Mistake:
    location: Location = (*prefix, *error["loc"])
    if error["type"] != "missing":
        # Pydantic appends the type that did not match to the location.
        location = yaml_nodes.existing(root, location)
    template = _MESSAGES.get(error["type"])
    if template is None:
        return Mistake(location, str(error["msg"]).removeprefix("Value error, "))
    context = error.get("ctx", {})
    message = template.format(but_is=_but_is(error["input"], error["type"]), **context)
    if error["type"] == "literal_error":
        message += nearest(str(error["input"]), context["expected"].split("'")[1::2])
    return Mistake(location, message)


def _but_is(value: Any, error_type: str) -> str:
    """Return what a value is instead, and how to write it."""
    if value is None:
        return "; it is empty"
    if isinstance(value, dict | list):
        return f", not a {'mapping' if isinstance(value, dict) else 'list'}"
    text = repr(value) if isinstance(value, str) else one_line(value)
    if len(text) > _LONGEST_VALUE:
        text = f"{text[:_LONGEST_VALUE]}..."
    if error_type == "string_type":
        return f", not {text}; put it in quotes"
    if error_type.startswith(("int_", "float_")) and isinstance(value, str):
        return f", not {text}{_as_number(value, whole=error_type.startswith('int_'))}"
    return f", not {text}"


def _as_number(text: str, whole: bool) -> str:
    """Return how to write a number that YAML reads as text, such as 1e9."""
    try:
        number = float(text)
    except ValueError:
        return ""
    if number.is_integer() and abs(number) < _FIRST_WITH_EXPONENT:
        return f"; write {int(number)}"
    written = one_line(number)
    return f"; write {written}" if math.isfinite(number) and not whole else ""
