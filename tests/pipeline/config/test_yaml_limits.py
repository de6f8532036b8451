"""Tests of configs that would take an endless time or memory."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stylebeam.pipeline.config import yaml_limits, yaml_nodes
from stylebeam.pipeline.config.file import ConfigError, load_config
from stylebeam.pipeline.config.run_config import RunConfig
from stylebeam.pipeline.config.yaml_nodes import YamlError

BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
)
MERGE_BOMB = "\n".join(
    ["a0: &a0 {x: 1, y: 2}"]
    + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
)
CHAIN = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 300))])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "more than 1,000,000 values"),
        (MERGE_BOMB, "more than 1,000,000 values"),
        (CHAIN, "nested too deeply"),
        ("a: " + "[" * 60 + "]" * 60, "nested too deeply"),
        ("a: " + "[" * 100_000, "nested too deeply"),
        ("a: &a {b: *a}", "contains itself"),
        (f"a: {'9' * 5000}", "this number has more than 100 characters"),
        (f"a: 0x{'f' * 9000}", "this number has more than 100 characters"),
        (f"a: 1{':1' * 100_000}", "this number has more than 100 characters"),
    ],
)
def test_a_small_text_that_stands_for_much_is_refused(text: str, message: str) -> None:
    started = time.process_time()
    with pytest.raises(YamlError, match=message):
        yaml_nodes.parse(text, "config.yaml")
    assert time.process_time() - started < 20


@pytest.mark.parametrize("setting", [f"run.x={'[' * 60}{']' * 60}", f"run.max_pixels={'9' * 200}"])
def test_overrides_have_the_same_limits(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"nested too deeply|this number has more than"):
        load_config(None, RunConfig, [setting])


def test_a_large_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.yaml"
    with config.open("wb") as file:
        file.truncate(50 * 2**30)  # sparse
    with pytest.raises(ConfigError, match=r"it has 53\.7 GB, more than the 4\.2 MB that are read"):
        load_config(str(config), RunConfig)


@pytest.mark.parametrize(
    "text", ["a: !!int text", "a: !!float x", "a: !!timestamp x", "a: !!bool x"]
)
def test_a_value_that_does_not_fit_its_tag_is_a_sentence(text: str) -> None:
    with pytest.raises(YamlError, match="a value does not fit its tag"):
        yaml_nodes.values(yaml_nodes.parse(text, "config.yaml"))


PIECES = st.sampled_from(
    ["a", "batches", ":", ": ", "\n", "  ", "- ", "[", "]", "{", "}", "&a", "*a", "<<", "!!int",
     "!!binary", "!!set", "? ", "|", ">", "'", '"', "#", "%", "@", "\t", "0x1", "1e9", "~", "---",
     "\x00", "\u202e", "run", "device"]
)  # fmt: skip


@settings(max_examples=300, derandomize=True, deadline=None, database=None,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(st.lists(PIECES, max_size=25).map("".join) | st.text(max_size=40))
def test_any_text_is_a_config_or_a_sentence(text: str) -> None:
    try:
        yaml_nodes.values(yaml_nodes.parse(text, "config.yaml"))
    except YamlError as error:
        sentences = error.args
    else:
        return
    assert all(str(each).startswith("config.yaml") for each in sentences)


def test_limits_are_above_what_ten_thousand_batches_need() -> None:
    batches = "\n".join(f"  - {{name: b{n}, input: p{n}, output: o{n}}}" for n in range(10_000))
    assert len(batches) * 3 < yaml_limits.MOST_BYTES
