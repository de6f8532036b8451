"""Validates a method's options given as Python values, for callers without a config."""

from collections.abc import Mapping
from typing import Any

import pydantic

from stylebeam.pipeline.methods import METHODS
from stylebeam.pipeline.methods.contract import MethodError, MethodOptions
from stylebeam.pipeline.suggestions import nearest_or_all


def validate_options(method: str, values: Mapping[str, Any]) -> MethodOptions:
    """Return a method's options.

    Args:
        method: its name.
        values: as in its section of a config.

    Raises:
        MethodError: there is no such method or option, or a value is wrong; all mistakes at once.
    """
    if method not in METHODS:
        raise MethodError(f"there is no method {method!r}{nearest_or_all(method, METHODS)}")
    try:
        return METHODS[method].model_validate(dict(values))
    except pydantic.ValidationError as error:
        errors = error.errors(include_url=False)
        raise MethodError("\n".join(_sentence(each, METHODS[method]) for each in errors)) from None


def _sentence(error: Any, model: type[pydantic.BaseModel]) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"there is no option {name}{nearest_or_all(name, model.model_fields)}"
    if error["type"] == "missing":
        return f"the option {name} is missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message}" if name else message
