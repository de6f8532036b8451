"""Makes what is made of the types of configs: their JSON Schemas, and docs/config.md.

python docs/generate.py
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stylebeam.pipeline.config.schema import TYPES, Schema, merged_schema, schema, section
from stylebeam.pipeline.wording import one_line
from stylebeam.transforms.gatys.settings import PRESETS, OptimizationSettings

ROOT = Path(__file__).parents[1]

_KINDS = {
    "object": "a section",
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "null": "`null`",
    None: "anything",
}
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}

_BEGINNING = """\
# Configs

Every key of every config: what it takes, its default, and what it means. (This page is made of the
types, by `python docs/generate.py`.)

A config is YAML. Unknown keys are mistakes. Relative paths are relative to the working directory.
`--set` overrides a key, by its name with dots, as in `--set run.device=cpu`; a batch is addressed
by its name, as in `--set batches.holiday.quality=80`. `stylebeam validate` says of every mistake
where it is, and what a run would do.

Editors that have YAML's language server, such as Visual Studio Code with the extension YAML,
complete and check a config that begins with the place of its schema:

```yaml
# yaml-language-server: $schema=run.schema.json
```

`stylebeam schema run > run.schema.json` writes that file; `stylebeam schema train` that of
trainings, and so on. Those of the configs in `configs/` are in `configs/schema/`. Editors read YAML
1.2 and stylebeam YAML 1.1: `true`, `false` and `1.0e+9` mean the same to both, but `yes`, `no` and
`1e9` do not.
"""

_OF_BATCHES = """
Beside them, `defaults` may hold any key of a batch, for all batches. What a batch says itself goes
first, and mappings are filled in key by key: a batch with `fast: {strength: 0.5}` takes its style
from `defaults`.
"""

_OF_RECIPES = """
What each `recipe` says where the config does not:
"""


def generated() -> dict[Path, str]:
    """Return the text of each file that is made."""
    schemas = ROOT / "configs" / "schema"
    return {
        **{schemas / f"{kind}.json": json.dumps(schema(kind), indent=2) + "\n" for kind in TYPES},
        ROOT / "docs" / "config.md": "".join(_reference()),
    }


def _reference() -> Iterator[str]:
    """Yield the parts of the reference."""
    yield _BEGINNING
    for kind in TYPES:
        config = merged_schema(kind)
        yield f"\n## stylebeam {kind}\n\n{config['description']}\n"
        if kind == "sweep":
            # The rest is that of a run.
            config["properties"] = {"sweep": config["properties"]["sweep"]}
        yield from _tables(config, ())


def _tables(mapping: Schema, path: tuple[str, ...]) -> Iterator[str]:
    """Yield the table of a mapping's keys, and those of the mappings in it."""
    if path:
        yield f"\n### {'.'.join(path)}\n"
    yield "\n| key | takes | default | meaning |\n| --- | --- | --- | --- |\n"
    for key, value in mapping["properties"].items():
        default = "required" if key in mapping.get("required", ()) else _code(value["default"])
        yield f"| `{key}` | {_takes(value)} | {default} | {value['description']} |\n"
    if "batches" in mapping["properties"]:
        yield _OF_BATCHES
    if path == ("batches", "gatys"):
        yield from _recipes()
    for key, value in mapping["properties"].items():
        inner = section(value.get("items", value))
        if inner["properties"]:
            yield from _tables(inner, (*path, key))


def _recipes() -> Iterator[str]:
    """Yield the table of what recipes say."""
    yield _OF_RECIPES
    yield f"\n| key | {' | '.join(f'`{recipe}`' for recipe in PRESETS)} |\n"
    yield f"|{' --- |' * (1 + len(PRESETS))}\n"
    for name, field in OptimizationSettings.model_fields.items():
        if any(name in preset for preset in PRESETS.values()):
            values = (preset.get(name, field.default) for preset in PRESETS.values())
            yield f"| `{name}` | {' | '.join(_code(value) for value in values)} |\n"


def _takes(value: Schema) -> str:
    """Say what a value may be."""
    if "anyOf" in value:
        return " or ".join(_takes(choice) for choice in value["anyOf"])
    if "enum" in value:
        return ", ".join(_code(each) for each in value["enum"])
    match value.get("type"):
        case [kind, *_]:
            words = f"{_KINDS[kind]}{_bounds(value)}"
        case "array":
            words = f"list of {_takes(value['items']).replace('a section', 'sections')}"
        case "object" if value["additionalProperties"]:
            words = f"mapping of names to {_takes(value['additionalProperties'])}"
        case "string" if "pattern" in value:
            words = "path or URI of a .safetensors file"
        case kind:
            words = _KINDS[kind]
    return words


def _bounds(number: Schema) -> str:
    """Say between what a number lies."""
    return "".join(f", {word} {number[key]:g}" for key, word in _BOUNDS.items() if key in number)


def _code(value: Any) -> str:
    return f"`{one_line(value, quoted=False)}`"


if __name__ == "__main__":
    for path, text in generated().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
