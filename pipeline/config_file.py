"""Reads configs, and says of each mistake where it is and what would be right."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, get_args

import pydantic

from pipeline import storage, yaml_nodes
from pipeline.suggestions import nearest
from pipeline.yaml_nodes import Location, Tree, YamlError

ConfigT = TypeVar("ConfigT", bound=pydantic.BaseModel)

_MESSAGES = {
    "missing": "this key is missing",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "string_type": "must be text, not {input!r}; put it in quotes",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number, not {input!r}",
    "int_parsing": "must be a whole number, not {input!r}",
    "int_from_float": "must be a whole number, not {input!r}",
    "float_type": "must be a number, not {input!r}",
    "float_parsing": "must be a number, not {input!r}",
    "greater_than": "must be more than {gt}, not {input!r}",
    "greater_than_equal": "must be at least {ge}, not {input!r}",
    "less_than_equal": "must be at most {le}, not {input!r}",
    "literal_error": "must be {expected}, not {input!r}",
    "extra_forbidden": "there is no such key",
}
"""What to say of pydantic's kinds of errors; of another kind, its own words."""


class ConfigError(Exception):
    """Mistakes in a config, each a sentence with its place."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(dict.fromkeys(mistakes))
        super().__init__("\n".join(self.mistakes))


def load_config(path: str | None, model: type[ConfigT], settings: Sequence[str] = ()) -> ConfigT:
    """Return the config in a YAML file.

    A mapping `defaults` at the top level fills in what a mapping in the list `batches` leaves out.

    Args:
        path: a path or URI; None for a config of overrides alone.
        model: the config's type. If it has a method `mistakes`, that yields what is wrong with
            values that are right each by itself: their locations, with a sentence.
        settings: overrides, each `key=value` with a dotted key such as `run.device`; a batch is
            addressed by its name, as in `batches.holiday.quality`. The value is YAML.

    Raises:
        ConfigError: the file cannot be read, or is wrong; all mistakes at once.
    """
    try:
        if path is None:
            root = yaml_nodes.parse("{}", "--set (no config was given)")
        else:
            root = yaml_nodes.parse(storage.read(path).decode(), path)
        for setting in settings:
            yaml_nodes.apply_setting(root, setting)
        yaml_nodes.merge_defaults(root)
        values = yaml_nodes.values(root)
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: this is not UTF-8 text: {error.reason}"]) from None
    except (storage.StorageError, YamlError) as error:
        raise ConfigError([str(error)]) from None
    try:
        config = model.model_validate(values)
    except pydantic.ValidationError as errors:
        found: Iterable[tuple[Location, str]] = [
            (error["loc"], _message(error, model)) for error in errors.errors(include_url=False)
        ]
    else:
        found = getattr(config, "mistakes", tuple)()
        if not (found := list(found)):
            return config
    raise ConfigError(_sentences(root, found))


def _sentences(root: Tree, mistakes: Iterable[tuple[Location, str]]) -> Iterator[str]:
    """Say each mistake once, with its place. (One in `defaults` is found in every batch.)"""
    said = set()
    for location, message in mistakes:
        place = yaml_nodes.place(root, location)
        if (place, location[-1:], message) not in said:
            said.add((place, location[-1:], message))
            key = yaml_nodes.dotted(root, location)
            yield f"{place}: {key}: {message}" if key else f"{place}: {message}"


def _message(error: Any, model: type[pydantic.BaseModel]) -> str:
    """Say what is wrong with a value, and the nearest valid name."""
    location: Location = error["loc"]
    context = error.get("ctx", {})
    template = _MESSAGES.get(error["type"])
    if template is None:
        return str(error["msg"]).removeprefix("Value error, ")
    message = template.format(input=error["input"], **context)
    if error["type"] == "extra_forbidden":
        message += nearest(str(location[-1]), _keys(model, location[:-1]))
    elif error["type"] == "literal_error":
        message += nearest(str(error["input"]), context["expected"].split("'")[1::2])
    return message


def _keys(model: type[pydantic.BaseModel], location: Location) -> list[str]:
    """Return the keys that are valid in the mapping at a location."""
    current: Any = model
    for part in location:
        if isinstance(part, str):
            current = _model_in(current.model_fields[part].annotation)
    return list(current.model_fields)


def _model_in(annotation: Any) -> Any:
    """Return the model within an annotation such as `tuple[Batch, ...]` or `Options | None`."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
