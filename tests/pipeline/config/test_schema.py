"""Tests of the JSON Schemas of configs: they refuse many mistakes, and no valid config."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from PIL import Image
from pydantic import ValidationError

from docs.generate import generated
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.cli.parsers.styles import CONFIG_KINDS
from stylebeam.pipeline.config import yaml_nodes
from stylebeam.pipeline.config.file import ConfigError, load_and_resolve, load_config
from stylebeam.pipeline.config.mistakes import Problems
from stylebeam.pipeline.config.run_config import RunConfig
from stylebeam.pipeline.config.schema import TYPES, Schema, merged_schema, schema, section
from stylebeam.pipeline.runs.planning import resolve

ROOT = Path(__file__).parents[3]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
KINDS = {
    "configs": "run",
    "train_any_style": "train-any-style",
    "train_super_resolution": "train-super-resolution",
}
"""The kinds of the folders that are not named after one."""


def kind_of(path: Path) -> str:
    return KINDS.get(path.parent.name, path.parent.name)


@cache
def validator(kind: str) -> Draft7Validator:
    return Draft7Validator(schema(kind))


def refusals(kind: str, text: str) -> set[str]:
    """Return the places where the schema of a kind refuses a YAML text."""
    values = yaml_nodes.values(yaml_nodes.parse(text, "text"))
    errors = validator(kind).iter_errors(values)
    return {".".join(map(str, error.absolute_path)) for error in errors}


def is_valid(kind: str, text: str) -> bool:
    Path("config.yaml").write_text(text)
    try:
        if issubclass(TYPES[kind], RunConfig):
            load_and_resolve("config.yaml", TYPES[kind], (), resolve)
        else:
            load_config("config.yaml", TYPES[kind])
    except ConfigError:
        return False
    return True


@pytest.fixture
def folder(tmp_path: Path, checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with what the configs of these tests name."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "style.safetensors").symlink_to(checkpoint_path)
    Image.new("RGB", (32, 32)).save(tmp_path / "painting.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_generated_files_are_up_to_date() -> None:
    """If they are not, run `python docs/generate.py`."""
    files = generated()
    assert set(ROOT.glob("configs/schema/*")) == {path for path in files if path.suffix == ".json"}
    for path, text in files.items():
        # Versions of pydantic write the same number differently.
        read = json.loads if path.suffix == ".json" else str
        assert read(path.read_text()) == read(text), (
            f"{path} is stale; run: python docs/generate.py"
        )


def test_the_command_prints_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "sweep"]) == 0
    assert json.loads(capsys.readouterr().out) == schema("sweep")
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema("run")


def test_every_kind_of_config_that_the_command_offers_has_a_schema() -> None:
    assert tuple(TYPES) == CONFIG_KINDS


@pytest.mark.parametrize("kind", TYPES)
def test_every_schema_and_its_defaults_are_valid(kind: str) -> None:
    Draft7Validator.check_schema(schema(kind))

    def check(mapping: Schema, path: str) -> None:
        assert mapping["additionalProperties"] is False
        for key, value in mapping["properties"].items():
            assert value["description"], f"{path}{key}"
            assert ("default" in value) != (key in mapping.get("required", ())), f"{path}{key}"
            inner = section(value.get("items", value))
            if inner["properties"]:
                check(inner, f"{path}{key}.")
            elif "default" in value:
                Draft7Validator(value).validate(value["default"])

    check(merged_schema(kind), "")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_config_names_its_schema_and_passes_it(path: Path) -> None:
    text = path.read_text()
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named, "an editor finds the schema by the first line"
    assert (path.parent / named[1]).resolve() == ROOT / f"configs/schema/{kind_of(path)}.json"
    assert refusals(kind_of(path), text) == set()


def test_every_documented_run_passes_the_schema() -> None:
    documents = [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    examples = [
        example
        for document in documents
        # Indented examples are those of docs/extending.md, whose method is not registered.
        for example in re.findall(r"^```yaml\n(.*?)^```", document.read_text(), re.M | re.S)
        if "batches:" in example
    ]
    assert len(examples) > 1
    for example in examples:
        assert refusals("run", example) == set()


BATCH = "  - {name: a, input: photos, output: out}\n"
FAST = "  - {name: a, input: photos, output: out, fast: {style: starry_night}}\n"


@pytest.mark.parametrize(
    "text",
    [
        "batches:\n" + FAST,
        "defaults: {fast: {style: starry_night}}\nbatches:\n" + BATCH,
        "defaults: {fast: {style: style.safetensors}}\nbatches:\n" + BATCH,
        "defaults: {name: a, input: photos, output: out}\nbatches: [fast: {style: udnie}]\n",
        "defaults: {fast: {style: udnie}}\nbatches:\n  - {name: a, input: photos, output: out,"
        " fast: {strength: 0.5}}\n",
        "defaults: {fast: {checkpoint: style.safetensors}}\nbatches:\n"
        "  - {name: a, input: photos, output: out, fast: {style: random}}\n",
        "defaults: {fast: {style: random}}\nbatches:\n"
        "  - {name: a, input: photos, output: out, fast: {checkpoint: style.safetensors}}\n",
        "defaults: {method: gatys, gatys: {style_image: painting.png}}\nbatches:\n" + BATCH,
        "defaults: {method: gatys}\nbatches:\n  - {name: a, input: photos, output: out,"
        " gatys: {style_image: {painting.png: 1}}}\n",
        "defaults: {method: gatys}\nbatches:\n  - {name: a, input: photos, output: out,"
        " method: fast, fast: {style: {udnie: 0.5, starry_night: 1}}}\n",
        "defaults: {method: super_resolution}\nbatches:\n" + BATCH,
        "batches:\n" + FAST + "run: {max_pixels: 200_000_000, memory: 1_0.5, max_failures: 0.05}\n",
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_valid_config_passes(text: str) -> None:
    assert is_valid("run", text)
    assert refusals("run", text) == set()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("run: {}\n", ""),
        ("batches: []\n", "batches"),
        ("batches: 3\n", "batches"),
        ("defaults: [a]\nbatches:\n" + FAST, "defaults"),
        ("quality: 3\nbatches:\n" + FAST, ""),
        ("defaults: {qualty: 3}\nbatches:\n" + FAST, "defaults"),
        ("batches:\n" + FAST + "run: {device: gpu}\n", "run.device"),
        ("batches:\n" + FAST + "run: {max_pixels: '5'}\n", "run.max_pixels"),
        ("batches:\n" + FAST + "run: {memory: 0}\n", "run.memory"),
        ("batches:\n" + BATCH, "batches.0"),
        ("defaults: {method: gatys}\nbatches:\n" + FAST, "batches.0"),
        ("batches:\n" + FAST.replace("fast:", "method: gatys, fast:"), "batches.0"),
        ("batches:\n" + FAST.replace("fast:", "method: fats, fast:"), "batches.0.method"),
        ("batches:\n" + FAST.replace("starry_night", "stary_night"), "batches.0.fast.style"),
        ("batches:\n" + FAST.replace("style:", "strength: 2, style:"), "batches.0.fast"),
        ("batches:\n" + FAST.replace("style: starry_night", "strength: 2"), "batches.0.fast"),
        ("batches:\n" + FAST.replace("input: photos, ", ""), "batches.0"),
        ("batches:\n" + FAST.replace("fast:", "quality: 101, fast:"), "batches.0.quality"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_wrong_config_is_refused(text: str, where: str) -> None:
    assert not is_valid("run", text)
    assert refusals("run", text) == {where}


WRONG_OR_RIGHT = [
    *[
        None,
        True,
        False,
        0,
        1,
        3,
        64,
        -1,
        0.5,
        1e6,
        "5",
        "1_000",
        "1e3",
        "",
        "x",
        "udnie",
        "x4_pixel",
    ],
    *[[], ["x"], [1], {}, {"relu1_1": 1}, {"relu1_1": "0.5"}, {"relu1_1": True}, {"udnie": 0.5}],
]
BATCH_OF_METHOD: list[dict[str, Any]] = [
    {"fast": {"style": "udnie"}},
    {"method": "gatys", "gatys": {"style_image": "painting.png"}},
    {"method": "super_resolution", "super_resolution": {}},
]
PLACES = {"name": "a", "input": "photos", "output": "out"}
PERHAPS_VALID: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("run", {"batches": [{**PLACES, "method": "super_resolution"}]}, ("batches",)),
    *(
        ("run", {"batches": [{**PLACES, **batch}]}, ("batches", list(batch)[-1]))
        for batch in BATCH_OF_METHOD
    ),
    ("run", {"batches": [{**PLACES, "method": "super_resolution"}], "run": {}}, ("run",)),
    (
        "sweep",
        {
            "batches": [{**PLACES, "method": "super_resolution"}],
            "sweep": {"rows": {"key": "a", "values": [1]}, "columns": {"key": "b", "values": [1]}},
        },
        ("sweep", "columns"),
    ),
    ("train", {"style_image": "a.jpg", "content_images": "photos", "output": "a"}, ()),
    (
        "train-any-style",
        {"paintings": "a", "content_images": "b", "output": "c", "predictor": "d"},
        (),
    ),
    ("train-super-resolution", {"content_images": "photos", "output": "a"}, ()),
    ("evaluate", {"checkpoints": ["a"], "content_images": "photos", "output": "out"}, ()),
    ("distill", {"content_images": "photos", "style_images": "paintings", "output": "a"}, ()),
]
"""Kinds, configs, and the path of the section whose keys are varied."""


def variants(value: Any, described: Schema, path: tuple[str, ...]) -> Iterator[Any]:
    """Yield the config with each key of a section set to many values, right or wrong."""
    if isinstance(value, list):
        yield from ([each] for each in variants(value[0], described["items"], path))
    elif path:
        key, *rest = path
        described = section(described)["properties"][key]
        yield from ({**value, key: each} for each in variants(value[key], described, tuple(rest)))
    else:
        for key, option in section(described)["properties"].items():
            for candidate in [*WRONG_OR_RIGHT, *option.get("enum", [])]:
                yield {**value, key: candidate}


def is_accepted(kind: str, values: Any) -> bool:
    """Return whether the types accept a config."""
    try:
        config = TYPES[kind].model_validate(values)
    except ValidationError:
        return False
    if list(getattr(config, "mistakes", tuple)()):
        return False
    problems = Problems()
    if isinstance(config, RunConfig):
        resolve(config, problems)
    return not problems


@pytest.mark.parametrize(
    ("kind", "config", "path"),
    PERHAPS_VALID,
    ids=[".".join([kind, *path]) for kind, _, path in PERHAPS_VALID],
)
@pytest.mark.usefixtures("folder")
def test_a_valid_config_is_never_refused(
    kind: str, config: dict[str, Any], path: tuple[str, ...]
) -> None:
    assert is_accepted(kind, config)
    assert validator(kind).is_valid(config)
    valid = 0
    for variant in variants(config, merged_schema(kind), path):
        if is_accepted(kind, variant):
            assert validator(kind).is_valid(variant), variant
            valid += 1
    assert valid
