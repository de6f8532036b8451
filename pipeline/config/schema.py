"""The JSON Schema of each kind of config, derived from its type, for editors."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from stylebeam.pipeline.config.run_config import RunConfig
from stylebeam.pipeline.config.sweep_config import SweepConfig
from stylebeam.pipeline.methods import METHODS
from stylebeam.transforms.distillation.distill import DistillationConfig
from stylebeam.transforms.evaluation.config import EvaluationConfig
from stylebeam.transforms.networks import STYLE_NETWORK_NAMES
from stylebeam.transforms.training.any_style_config import AnyStyleTrainingConfig
from stylebeam.transforms.training.style_config import StyleTrainingConfig
from stylebeam.transforms.training.super_resolution import SuperResolutionTrainingConfig

Schema = dict[str, Any]

TYPES: Mapping[str, type[BaseModel]] = {
    "run": RunConfig,
    "sweep": SweepConfig,
    "train": StyleTrainingConfig,
    "train-any-style": AnyStyleTrainingConfig,
    "train-super-resolution": SuperResolutionTrainingConfig,
    "evaluate": EvaluationConfig,
    "distill": DistillationConfig,
}
"""The type of each kind of config, by the command that takes it."""

# Editors read YAML 1.2, in which 200_000_000 is text.
_GROUPED_DIGITS = r"^[-+]?[0-9]+(_[0-9]+)+(\.[0-9_]*)?([eE][-+][0-9]+)?$"
_ANY_NUMBER = r"^\s*[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)([eE][-+]?[0-9]+)?\s*$"


def schema(kind: str) -> Schema:
    """Return the JSON Schema (draft 7) of a kind of config, as it stands in its file.

    It refuses nothing that `load_config` accepts. It lets pass what it cannot know: whether files
    are there, and most of what must hold between values.

    Args:
        kind: one of TYPES.
    """
    config = merged_schema(kind)
    if "batches" in config["properties"]:
        config = _with_defaults(config)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": f"Made by: stylebeam schema {kind}",
        "title": f"A config of stylebeam {kind}",
        **config,
    }


def merged_schema(kind: str) -> Schema:
    """Return the schema of a kind of config whose batches have what `defaults` says.

    Args:
        kind: one of TYPES.
    """
    generated = TYPES[kind].model_json_schema(schema_generator=_Generator)
    config: Schema = _plain(generated, generated.pop("$defs", {}))
    properties = config["properties"]
    if "network" in properties:
        properties["network"]["enum"] = list(STYLE_NETWORK_NAMES)
    if "batches" in properties:
        properties["batches"]["minItems"] = 1
        for name, options in METHODS.items():
            options.describe_schema(
                section(properties["batches"]["items"]["properties"][name])["properties"]
            )
    if "sweep" in properties:
        properties["batches"]["maxItems"] = 1
        for axis in properties["sweep"]["properties"].values():
            section(axis)["properties"]["values"]["minItems"] = 1
    return config


def section(value: Schema) -> Schema:
    """Return the schema of the section that a value is, or may be; one without keys for none."""
    sections = (each for each in (value, *value.get("anyOf", ())) if _is_closed(each))
    return next(sections, {"properties": {}})


def _is_closed(value: Schema) -> bool:
    return value.get("additionalProperties") is False


class _Generator(GenerateJsonSchema):
    """Says of numbers how they may be written."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def int_schema(self, schema: core_schema.IntSchema) -> Schema:
        return _as_written(super().int_schema(schema), schema.get("strict", False))

    def float_schema(self, schema: core_schema.FloatSchema) -> Schema:
        return _as_written(super().float_schema(schema), schema.get("strict", False))


def _as_written(number: Schema, strict: bool) -> Schema:
    """Let a number be text to editors: with grouped digits or, if its type does too, anyhow."""
    return {
        **number,
        "type": [number["type"], "string"] + ([] if strict else ["boolean"]),
        "pattern": _GROUPED_DIGITS if strict else _ANY_NUMBER,
        "patternErrorMessage": "This must be a number.",
    }


def _plain(node: Any, definitions: Mapping[str, Schema]) -> Any:
    """Return a schema without references, and without what tells people nothing."""
    if isinstance(node, list):
        values = [_plain(each, definitions) for each in node]
        return [each for position, each in enumerate(values) if each not in values[:position]]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        node = {**definitions[node["$ref"].rpartition("/")[2]], **node}
        if "default" in node:
            node["default"] = {}  # Each of its keys says its own.
    plain: Schema = {}
    for key, value in node.items():
        if key == "properties":
            plain[key] = {name: _plain(each, definitions) for name, each in value.items()}
        elif key == "default":
            plain[key] = value
        elif key not in ("$ref", "title", "format"):
            plain[key] = _plain(value, definitions)
    if len(plain.get("anyOf", ())) == 1:
        [only] = plain.pop("anyOf")
        plain = {**only, **plain}
    return plain


def _with_defaults(config: Schema) -> Schema:
    """Return the schema of a config with batches that may have `defaults` beside them.

    What a batch needs may stand there as well as in the batch, at any depth.
    """
    properties = config["properties"]
    batch = properties["batches"]["items"]
    rules = [_needed(path, {"required": [key]}, (*path, key)) for path, key in _required(batch)]
    for method in batch["properties"]["method"]["enum"]:
        if batch["properties"][method]["default"] is None:
            rules += _needs_its_options(method, batch["properties"]["method"]["default"])
    for method, options in METHODS.items():
        for key, (values, unless) in options.known_values().items():
            rule = {"if": _lacks(unless), "then": _within([key], dict(values))}
            rules.append(_needed([method], rule, [method, unless]))
    defaults = {
        "description": "What each batch says that does not say it itself; mappings key by key.",
        "default": {},
        "allOf": [{"$ref": "#/definitions/batch"}],
    }
    batches = {**properties["batches"], "items": {"$ref": "#/definitions/batch"}}
    return {
        **config,
        "properties": {"defaults": defaults, **properties, "batches": batches},
        "allOf": rules,
        "definitions": {"batch": batch},
    }


def _required(node: Schema, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Take away which keys a mapping and those in it require, and yield each with its place."""
    for key in node.pop("required", ()):
        yield path, key
    for name, value in node["properties"].items():
        yield from _required(section(value), (*path, name))


def _needs_its_options(method: str, default_method: str) -> Iterator[Schema]:
    """Yield the rules by which a batch of a method has the method's options."""
    options = {"required": [method], "properties": {method: {"not": {"type": "null"}}}}
    this = {"const": method}
    named = {"required": ["method"], "properties": {"method": this}}
    yield _needed([], {"if": named, "then": options}, [method])
    inherited = _within(["defaults", "method"], this)
    if method != default_method:
        inherited = {"allOf": [inherited, _has(["defaults", "method"])]}
    rule = _needed([], {"if": _lacks("method"), "then": options}, [method])
    yield {"if": inherited, "then": rule}


def _needed(path: Sequence[str], demand: Schema, instead: Sequence[str]) -> Schema:
    """Return the rule that what each batch has at a path meets a demand.

    Args:
        path: keys that lead there from the batch.
        demand: a schema.
        instead: keys of what makes up for it, if `defaults` has that.
    """
    return {
        "if": {"not": _has(["defaults", *instead])},
        "then": _within(["batches"], {"items": _within(path, demand)}),
    }


def _within(path: Sequence[str], demand: Schema) -> Schema:
    """Return the schema by which what is at a path meets a demand, if it is there."""
    for key in reversed(path):
        demand = {"properties": {key: demand}}
    return demand


def _has(path: Sequence[str]) -> Schema:
    """Return the schema by which there is something at a path."""
    demand: Schema = {}
    for key in reversed(path):
        demand = {"required": [key], "properties": {key: demand}}
    return demand


def _lacks(key: str) -> Schema:
    return {"not": {"required": [key]}}
