"""Proportions by name: of the styles in a blend, or of the paintings in a style."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def _parts(value: Any) -> Any:
    """Make a single name the whole."""
    if not isinstance(value, str | dict):
        raise ValueError("must be a name or, of several, their parts, as in {one: 0.3, two: 0.7}")
    return {value: 1.0} if isinstance(value, str) else value


Part = Annotated[float, Field(ge=0, strict=True)]
Parts = Annotated[
    dict[str, Part], BeforeValidator(_parts, json_schema_input_type=str | dict[str, Part])
]
"""In a config, a name or a mapping of names to parts; always a mapping in Python."""


def describe_parts(parts: dict[str, float]) -> str:
    """Return the name, or the names with the part of each."""
    if len(parts) == 1:
        return next(iter(parts))
    return " + ".join(f"{part:g} {name}" for name, part in parts.items())
