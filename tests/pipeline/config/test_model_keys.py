"""Keys of earlier versions: configs that use them still load, with a note."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel, ConfigDict

from stylebeam.pipeline.config.file import ConfigError, load_config


class Strict(BaseModel):
    """A mapping in which unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid")


class Options(Strict):
    """Options, of which earlier versions had others."""

    renamed_keys: ClassVar[Mapping[str, str]] = {"memory": "history_size"}
    removed_keys: ClassVar[Mapping[str, str]] = {"tiles": "large photos are always tiled"}

    history_size: int = 10
    steps: int = 1


class Batch(Strict):
    """A batch whose options had another name."""

    renamed_keys: ClassVar[Mapping[str, str]] = {"optimisation": "gatys"}

    name: str
    gatys: Options | None = None


class Config(Strict):
    """A config with keys to rename at all depths."""

    batches: tuple[Batch, ...]


CONFIG = """\
batches:
  - name: a
    gatys:
      steps: 3
  - name: b
    gatys:
      memory: 20
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to an empty working directory."""
    monkeypatch.chdir(tmp_path)


def load(text: str, *settings: str) -> tuple[list[int | None], list[str]]:
    """Return the history size of each batch, and the notes."""
    Path("config.yaml").write_text(text)
    notes: list[str] = []
    config = load_config("config.yaml", Config, settings, notes.append)
    return [batch.gatys and batch.gatys.history_size for batch in config.batches], notes


def mistakes(text: str, *settings: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(text, *settings)
    return caught.value.mistakes


def test_a_renamed_key_is_used_with_a_note() -> None:
    sizes, notes = load(CONFIG)
    assert sizes == [10, 20]
    assert notes == ["config.yaml:7: batches.b.gatys.memory: this key is now called history_size"]


def test_keys_within_a_renamed_key_are_renamed() -> None:
    sizes, notes = load(CONFIG.replace("gatys", "optimisation"))
    assert sizes == [10, 20]
    assert notes == [
        "config.yaml:3: batches.a.optimisation: this key is now called gatys",
        "config.yaml:6: batches.b.optimisation: this key is now called gatys",
        "config.yaml:7: batches.b.gatys.memory: this key is now called history_size",
    ]


def test_a_removed_key_is_left_out_with_a_note() -> None:
    sizes, notes = load(CONFIG.replace("memory: 20", "tiles: 4"))
    assert sizes == [10, 10]
    assert notes == [
        "config.yaml:7: batches.b.gatys.tiles: this key no longer has an effect: large photos are"
        " always tiled"
    ]


def test_a_renamed_key_in_defaults_has_one_note() -> None:
    sizes, notes = load(f"defaults: {{optimisation: {{memory: 7}}}}\n{CONFIG}")
    assert sizes == [7, 20]
    assert notes == [
        "config.yaml:1: defaults.optimisation: this key is now called gatys",
        "config.yaml:1: defaults.gatys.memory: this key is now called history_size",
        "config.yaml:8: batches.b.gatys.memory: this key is now called history_size",
    ]


def test_the_old_and_the_new_key_together_are_a_mistake() -> None:
    text = CONFIG.replace("memory: 20", "memory: 20\n      history_size: 5\n      stesp: 3")
    assert mistakes(text) == (
        "config.yaml:7: batches.b.gatys.memory: this key is now called history_size, and there is a"
        " value for that too; delete one of them",
        "config.yaml:9: batches.b.gatys.stesp: there is no such key; did you mean steps?",
    )


@pytest.mark.parametrize("text", [CONFIG, CONFIG.replace("memory", "history_size")])
@pytest.mark.parametrize("key", ["memory", "history_size"])
def test_a_setting_overrides_a_key_under_its_old_or_new_name(text: str, key: str) -> None:
    sizes, _ = load(text, f"batches.b.gatys.{key}=5")
    assert sizes == [10, 5]


@pytest.mark.parametrize(
    ("setting", "notes"),
    [
        ("batches.b.gatys.memory=5", ["batches.b.gatys.memory: this key is now called"]),
        ("batches.1.gatys={memory: 5}", ["batches.1.gatys.memory: this key is now called"]),
        ("defaults.gatys.memory=5", ["defaults.gatys.memory: this key is now called"]),
        (
            "batches.b.optimisation.memory=5",
            ["batches.b.optimisation: this key is now", "batches.b.gatys.memory: this key is now"],
        ),
        ("batches.b.gatys.tiles=5", ["batches.b.gatys.tiles: this key no longer has an effect"]),
        ("batches.b.gatys={tiles: 5}", ["batches.b.gatys.tiles: this key no longer has"]),
    ],
)
def test_a_setting_with_an_old_key_has_a_note(setting: str, notes: list[str]) -> None:
    _, found = load(CONFIG.replace("memory", "history_size"), setting)
    assert len(found) == len(notes)
    for note, start in zip(found, notes, strict=True):
        assert note.startswith(f"--set {setting}: {start}")


def test_notes_are_printed_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.yaml").write_text(CONFIG)
    load_config("config.yaml", Config)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "note: config.yaml:7: batches.b.gatys.memory: this key is now called history_size\n"
    )
