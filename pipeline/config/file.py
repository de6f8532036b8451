"""Reads configs, and says of each mistake where it is and what would be right."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import pydantic

from stylebeam.pipeline import storage
from stylebeam.pipeline.config import yaml_nodes
from stylebeam.pipeline.config.yaml_nodes import Location, Mark, Tree, YamlError
from stylebeam.pipeline.suggestions import nearest, nearest_or_all

ConfigT = TypeVar("ConfigT", bound=pydantic.BaseModel)

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
    "extra_forbidden": "there is no such key",
}
"""What to say of pydantic's kinds of errors; of another kind, its own words."""

_LONGEST_VALUE = 60
_FIRST_WITH_EXPONENT = 1e16  # as Python writes numbers


class ConfigError(Exception):
    """Mistakes in a config, each a sentence with its place."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(dict.fromkeys(mistakes))
        several = [f"{len(self.mistakes)} mistakes:"] if len(self.mistakes) > 1 else []
        super().__init__("\n".join([*several, *self.mistakes]))


class _Mistake(NamedTuple):
    """What is wrong with a value.

    Attributes:
        location: of the value.
        message: what is wrong.
        kind: whether its key is unknown, it is wrong by itself, or beside others.
        within: the location of what else decides whether it is wrong.
    """

    location: Location
    message: str
    kind: Literal["key", "value", "relation"]
    within: Location


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
            root = yaml_nodes.parse(_read(path), path)
        for setting in settings:
            yaml_nodes.apply_setting(root, setting)
        defaults = yaml_nodes.merge_defaults(root)
        config, mistakes = _check(root, model)
        if config is not None and not mistakes:
            return config
        said = sorted(_sentences(root, defaults, model, mistakes))
        raise ConfigError(sentence for _, sentence in said)
    except storage.StorageError as error:
        raise ConfigError([str(error)]) from None
    except YamlError as error:
        raise ConfigError(error.args) from None


def _read(path: str) -> str:
    data = storage.read(path)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{path}:{line}: this is not UTF-8 text; is it a config, and saved as UTF-8?"
        raise ConfigError([message]) from None


def _check(root: Tree, model: type[ConfigT]) -> tuple[ConfigT | None, list[_Mistake]]:
    """Return the config, unless values are wrong by themselves, and what is wrong.

    Raises:
        YamlError: a value is not what its tag says.
    """
    try:
        config = model.model_validate(yaml_nodes.values(root))
    except pydantic.ValidationError as errors:
        mistakes: dict[Location, _Mistake] = {}
        for error in errors.errors(include_url=False):
            mistake = _mistake(error, root, model)
            # Of a value that may be of several types, each says that it is not.
            mistakes.setdefault(mistake.location, mistake)
        return None, list(mistakes.values())
    found: Iterable[tuple[Location, str]] = getattr(config, "mistakes", tuple)()
    return config, [
        _Mistake(location, message, "relation", location) for location, message in found
    ]


def _sentences(
    root: Tree, defaults: Tree | None, model: type[ConfigT], mistakes: Sequence[_Mistake]
) -> Iterator[tuple[int, str]]:
    """Say each mistake with its place, and then those of the rest of the config; yield their lines.

    Some show only once others are gone: what holds between values is checked when each is right.
    So what is wrong is left out, and the rest checked again. What is then said of mappings and
    lists from which something was left out may come of that, and is passed over.
    """
    lessened: set[Mark] = set()
    config = None
    while mistakes:
        for location, message, _, within in mistakes:
            if not {yaml_nodes.mark_at(root, each) for each in (location, within)} & lessened:
                mark = yaml_nodes.mark_of_key(root, location)
                parts = [yaml_nodes.place(mark), yaml_nodes.dotted(root, location, defaults)]
                yield mark.line, ": ".join([*filter(None, parts), message])
        unknown = [mistake.location for mistake in mistakes if mistake.kind == "key"]
        wrong = [mistake.location for mistake in mistakes if mistake.kind == "value"]
        # An unknown key is missed by nothing; and without it, positions in lists stay.
        root, _ = yaml_nodes.without(root, unknown)
        root, marks = yaml_nodes.without(root, wrong)
        if config is not None or not (unknown or marks):
            return
        lessened |= marks
        config, mistakes = _check(root, model)


def _mistake(error: Any, root: Tree, model: type[pydantic.BaseModel]) -> _Mistake:
    """Return pydantic's error in words, with the nearest valid name."""
    location: Location = error["loc"]
    context = error.get("ctx", {})
    if error["type"] == "extra_forbidden":
        message = _MESSAGES["extra_forbidden"] + _meant(str(location[-1]), location[:-1], model)
        return _Mistake(location, message, "key", location[:-1])
    within = location[:-1]
    if error["type"] != "missing":
        # Pydantic ends a location with the type that the value is not.
        location = yaml_nodes.existing(root, location)
        within = location if _names(location) in dict(_sections(model)) else location[:-1]
    template = _MESSAGES.get(error["type"])
    if template is None:
        return _Mistake(location, str(error["msg"]).removeprefix("Value error, "), "value", within)
    message = template.format(but_is=_but_is(error["input"], error["type"]), **context)
    if error["type"] == "literal_error":
        message += nearest(str(error["input"]), context["expected"].split("'")[1::2])
    return _Mistake(location, message, "value", within)


def _but_is(value: Any, kind: str) -> str:
    """Say what a value is instead, and how it would be written."""
    if value is None:
        return "; it is empty"
    if isinstance(value, dict | list):
        return f", not a {'mapping' if isinstance(value, dict) else 'list'}"
    text = repr(value) if isinstance(value, str) else yaml_nodes.one_line(value)
    if len(text) > _LONGEST_VALUE:
        text = f"{text[:_LONGEST_VALUE]}..."
    if kind == "string_type":
        return f", not {text}; put it in quotes"
    if kind.startswith(("int_", "float_")) and isinstance(value, str):
        return f", not {text}{_as_number(value, whole=kind.startswith('int_'))}"
    return f", not {text}"


def _as_number(text: str, whole: bool) -> str:
    """Say how a number is written that YAML takes for text, such as 1e9."""
    try:
        number = float(text)
    except ValueError:
        return ""
    if number.is_integer() and abs(number) < _FIRST_WITH_EXPONENT:
        return f"; write {int(number)}"
    written = yaml_nodes.one_line(number)
    return f"; write {written}" if math.isfinite(number) and not whole else ""


def _meant(key: str, location: Location, model: type[pydantic.BaseModel]) -> str:
    """Say where a key belongs that is unknown at a location, or which one was meant."""
    sections = dict(_sections(model))
    if owners := [path for path, owner in sections.items() if key in owner.model_fields]:
        names = (".".join(path) or "the top level" for path in owners)
        where = " or ".join("batches, or in defaults" if n == "batches" else n for n in names)
        return f" here; it belongs in {where}"
    keys = list(sections[_names(location)].model_fields)
    return nearest_or_all(key, ["defaults", *keys] if not location and "batches" in keys else keys)


def _names(location: Location) -> tuple[str, ...]:
    """Return the keys of a location, without positions in lists."""
    return tuple(part for part in location if isinstance(part, str))


def _sections(
    model: type[pydantic.BaseModel], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[pydantic.BaseModel]]]:
    """Yield the types of the mappings in a config, with the keys that lead there."""
    yield path, model
    for name, field in model.model_fields.items():
        if inner := _model_in(field.annotation):
            yield from _sections(inner, (*path, name))


def _model_in(annotation: Any) -> Any:
    """Return the model within an annotation such as `tuple[Batch, ...]` or `Options | None`."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
