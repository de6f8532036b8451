"""Tests of the configs of runs: their values, and the messages for mistakes."""

import os
from pathlib import Path

import pytest
import torch

from stylebeam.pipeline.config.file import ConfigError, load_and_resolve, load_config
from stylebeam.pipeline.config.run_config import RunConfig
from stylebeam.pipeline.config.sweep_config import SweepConfig
from stylebeam.pipeline.runs.planning import resolve
from stylebeam.transforms.checkpoints import (
    Checkpoint,
    Style,
    parse_checkpoint,
    save_checkpoint,
    shipped_checkpoints,
)
from stylebeam.transforms.distillation.distill import DistillationConfig
from stylebeam.transforms.evaluation.config import EvaluationConfig
from stylebeam.transforms.losses.distilled_vgg import SHIPPED_WEIGHTS
from stylebeam.transforms.training.any_style_config import AnyStyleTrainingConfig
from stylebeam.transforms.training.style_config import StyleTrainingConfig
from stylebeam.transforms.training.super_resolution import SuperResolutionTrainingConfig


@pytest.fixture
def folder(tmp_path: Path, checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with a folder of photos and a style."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "style.safetensors").symlink_to(checkpoint_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str, *settings: str) -> RunConfig:
    Path("config.yaml").write_text(text)
    return load_and_resolve("config.yaml", RunConfig, settings, resolve)[0]


def mistakes(text: str, *settings: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(text, *settings)
    return caught.value.mistakes


GOOD = """\
defaults:
  quality: 80
  fast: {style: style.safetensors, strength: 0.5}
batches:
  - name: holiday
    input: photos/
    output: out/holiday
  - name: portraits
    input: photos
    output: ./out/portraits
    format: png
    quality: 90
    fast: {strength: 1}
"""


@pytest.mark.usefixtures("folder")
def test_defaults_fill_in_what_a_batch_leaves_out() -> None:
    holiday, portraits = load(GOOD).batches
    assert (holiday.quality, portraits.quality) == (80, 90)
    assert (holiday.fast.strength, portraits.fast.strength) == (0.5, 1.0)
    assert holiday.fast.style == portraits.fast.style == {"style.safetensors": 1.0}
    assert (holiday.format, portraits.format) == ("same", "png")


@pytest.mark.usefixtures("folder")
def test_yaml_merge_keys_take_precedence_over_defaults() -> None:
    config = load(
        GOOD.replace("  - name: holiday", "  - &first\n    name: holiday").replace(
            "output: out/holiday", "output: out/holiday\n    quality: 50\n    fast: {strength: 0.1}"
        )
        + "  - {<<: *first, name: again, output: out/again}\n"
    )
    assert [batch.quality for batch in config.batches] == [50, 90, 50]
    assert config.batches[2].fast == config.batches[0].fast
    assert config.batches[2].fast.style == {"style.safetensors": 1.0}


@pytest.mark.usefixtures("folder")
def test_a_setting_changes_one_batch_and_not_another_with_an_alias_to_it() -> None:
    text = GOOD.replace(
        "output: out/holiday", "output: out/holiday\n    fast: &fast {strength: 0.2}"
    )
    again = "  - {name: again, input: photos, output: out/again, fast: *fast}\n"
    config = load(text + again, "batches.again.fast.strength=0.7")
    assert [batch.fast.strength for batch in config.batches] == [0.2, 1.0, 0.7]


@pytest.mark.usefixtures("folder")
def test_locations_are_normalized() -> None:
    holiday, portraits = load(GOOD).batches
    assert holiday.input == portraits.input == "photos"
    assert portraits.output == "out/portraits"


@pytest.mark.usefixtures("folder")
def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    config = load(BATCH, "batches.x.output=~/styled")
    assert config.batches[0].output == "/home/somebody/styled"


@pytest.mark.usefixtures("folder")
def test_settings_override_the_file() -> None:
    config = load(
        GOOD,
        "batches.holiday.quality=70",
        "batches.1.fast.strength=0.25",
        "run.max_pixels=1000",
        "defaults.format=webp",
    )
    assert config.batches[0].quality == 70
    assert config.batches[1].fast.strength == 0.25
    assert config.batches[1].fast.style == {"style.safetensors": 1.0}
    assert config.run.max_pixels == 1000
    assert [batch.format for batch in config.batches] == ["webp", "png"]


@pytest.mark.usefixtures("folder")
def test_all_mistakes_are_reported_at_once_with_their_places() -> None:
    text = """\
defaults:
  qualty: 80
batches:
  - name: a
    input: photos
    output: out/a
    fast: {style: style.safetensors, strenth: 0.5}
  - name: b
    input: nowhere
    output: out/b
    method: fats
    fast: {style: starry_nigth, strength: two}
  - name: c
    input: photos
    output: out/c
    method: gatys
    gatys: {recipe: gatys2015, style_image: gone.jpg, iteratons: 5}
run: {device: gpu}
"""
    printed = mistakes(text)
    assert printed[:4] == (
        "config.yaml:2: defaults.qualty: there is no such key; did you mean quality?",
        "config.yaml:7: batches.a.fast.strenth: there is no such key; did you mean strength?",
        "config.yaml:9: batches.b.input: nowhere does not exist; it is looked for in "
        + os.getcwd(),
        "config.yaml:11: batches.b.method: must be 'fast', 'gatys' or 'super_resolution', not"
        " 'fats'; did you mean fast?",
    )
    assert printed[4] == "config.yaml:12: batches.b.fast.strength: must be a number, not 'two'"
    assert printed[5].startswith(
        "config.yaml:12: batches.b.fast.style: there is no shipped style 'starry_nigth';"
        " did you mean starry_night?"
    )
    assert printed[6:] == (
        "config.yaml:17: batches.c.gatys.iteratons: there is no such key; did you mean iterations?",
        "config.yaml:17: batches.c.gatys.recipe: must be 'default', 'gatys2016', 'sum_of_squares'"
        " or 'frobenius', not 'gatys2015'; did you mean gatys2016?",
        "config.yaml:17: batches.c.gatys.style_image: gone.jpg cannot be read: there is no such"
        " file.",
        "config.yaml:18: run.device: must be 'auto', 'cpu' or 'cuda', not 'gpu'; did you mean"
        " cuda?",
    )


BATCH = "batches: [{name: x, input: photos, output: out, fast: {style: style.safetensors}}]\n"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("a: [b", [], "config.yaml:1: this is not YAML: expected ',' or ']'"),
        ("", [], "config.yaml: this is empty; a config is a mapping of keys to values"),
        ("- a", [], "config.yaml:1: a config is a mapping of keys to values, not a list"),
        ("batches: []", [], "config.yaml:1: batches: there must be at least one batch"),
        ("batches: 3", [], "config.yaml:1: batches: must be a list"),
        ("batches: [3]", [], "config.yaml:1: batches.0: must be a mapping of keys to values"),
        ("run: {}", [], "config.yaml:1: batches: this key is missing"),
        (BATCH + "defaults: [1]", [], "config.yaml:2: defaults: must be a mapping"),
        (
            BATCH + "run:\n  device: cpu\n  device: cpu",
            [],
            "config.yaml:4: run.device: this key is already in line 3",
        ),
        ("batches: {{ photos }}", [], "config.yaml:1: a key must be text"),
        ("a: &a [*a]", [], "config.yaml:1: this value contains itself, through an alias"),
        ("a: [" * 3000, [], "config.yaml: this is nested too deeply"),
        ("a: \x07", [], "config.yaml:1: the character U+0007 is not allowed"),
        (BATCH, ["run.max_pixels=1\nfoo: 2"], "this is more than one value"),
        (BATCH, ["run.max_pixels=true"], "run.max_pixels: must be a whole number, not true"),
        (BATCH, ["run.max_pixels='5'"], "run.max_pixels: must be a whole number, not '5'"),
        (BATCH, ['batches.x.output="a\\0b"'], "output: must not hold a null character"),
        (BATCH, ["batches.x.output=foo://x"], "foo://x is in no storage that is installed here"),
        (BATCH, ["batches.x.input=gs://"], "input: gs:// names no bucket"),
        (BATCH, ["batches.x.output=config.yaml"], "config.yaml is a file, not a folder"),
        (BATCH, ["batches.x.input=config.yaml"], "config.yaml is not an image (.jpg"),
        (BATCH, ["batches.y.input=z"], "--set batches.y.input=z: there is no y in batches"),
        (BATCH, ["quality"], "--set quality: an override is written key=value"),
        (BATCH, ["run.max_pixels=-1"], "--set run.max_pixels=-1: run.max_pixels: must be at least"),
        (BATCH, ["batches.x.quality=1.5"], "batches.x.quality: must be a whole number, not 1.5"),
        (BATCH, ["batches.x.output=7"], "batches.x.output: must be text, not 7; put it in quotes"),
        (BATCH, ["batches.x.fast.style=no.safetensors"], "no.safetensors cannot be read: there is"),
        (BATCH, ["batches.x.fast.style=config.yaml.safetensors"], "there is no such file"),
        (BATCH, ["batches.x.output=photos"], "photos includes photos, where batch x writes"),
        (BATCH, ["batches.x.output=photos/out"], "photos includes photos/out, where batch x"),
        (BATCH, ["batches.x.fast=null"], "batches.x: method: fast needs options, as in fast: "),
    ],
)
def test_one_mistake_is_one_sentence(text: str, settings: list[str], message: str) -> None:
    [mistake] = mistakes(text, *settings)
    assert message in mistake


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("line", "invalid"),
    [
        ("qualty: 80", "qualty: there is no such key; did you mean quality?"),
        ("quality: high", "quality: must be a whole number, not 'high'"),
    ],
)
def test_an_invalid_key_does_not_hide_a_missing_file(line: str, invalid: str) -> None:
    text = GOOD.replace("    output: out/holiday\n", f"    output: out/holiday\n    {line}\n")
    assert mistakes(text, "batches.holiday.input=fotos", "batches.1.input=fotos") == (
        "--set batches.1.input=fotos: batches.portraits.input: fotos does not exist; did you mean"
        " photos?",
        "--set batches.holiday.input=fotos: batches.holiday.input: fotos does not exist; did you"
        " mean photos?",
        f"config.yaml:8: batches.holiday.{invalid}",
    )


@pytest.mark.usefixtures("folder")
def test_an_invalid_batch_does_not_hide_the_missing_files_of_another() -> None:
    text = GOOD.replace("output: out/holiday", "fast: 7").replace(
        "input: photos\n", "input: nowhere\n"
    )
    assert mistakes(text) == (
        "config.yaml:5: batches.holiday.output: this key is missing",
        "config.yaml:7: batches.holiday.fast: must be a mapping of keys to values, not 7",
        f"config.yaml:9: batches.portraits.input: nowhere does not exist; it is looked for in"
        f" {os.getcwd()}",
    )


@pytest.mark.usefixtures("folder")
def test_two_batches_of_one_name_are_a_mistake() -> None:
    again = "  - {name: holiday, input: photos, output: out/2}\n"
    assert mistakes(GOOD + again) == (
        "config.yaml:14: batches.holiday.name: another batch is named holiday; give each a name of"
        " its own",
    )


def test_an_invalid_checkpoint_is_a_mistake(folder: Path) -> None:
    (folder / "bad.safetensors").write_bytes(b"not a checkpoint")
    [mistake] = mistakes(BATCH, "batches.x.fast.style=bad.safetensors")
    assert "bad.safetensors: The file is not a whole safetensors checkpoint" in mistake
    unfit = Checkpoint("johnson", {"out.bias": torch.zeros(3)}, {"unfit": Style()})
    save_checkpoint(unfit, folder / "unfit.safetensors")
    [mistake] = mistakes(BATCH, "batches.x.fast.style=unfit.safetensors")
    assert "unfit.safetensors: The checkpoint cannot be used" in mistake


def test_the_parts_of_blended_styles_are_normalized(folder: Path, two_styles_path: Path) -> None:
    (folder / "two.safetensors").symlink_to(two_styles_path)
    blend = "batches.x.fast={checkpoint: two.safetensors, style: {one: 1, two: 0.5}}"
    Path("config.yaml").write_text(BATCH)
    _, [plan] = load_and_resolve("config.yaml", RunConfig, [blend], resolve)
    assert plan.options.styles == (("one", 2 / 3), ("two", 1 / 3))
    for fast, message in (
        ("{checkpoint: two.safetensors, style: three}", "fast.style: two.safetensors holds no"),
        ("{checkpoint: no.safetensors, style: one}", "fast.style: no.safetensors cannot be read"),
        ("{checkpoint: two.safetensors, style: {one: -1}}", "must be at least 0"),
        ("{checkpoint: two.safetensors, style: {one: much}}", "must be a number"),
        ("{checkpoint: two.safetensors}", "fast.style: this key is missing"),
        ("{checkpoint: 7, style: one}", "fast.checkpoint: must be"),
    ):
        [mistake] = mistakes(BATCH, f"batches.x.fast={fast}")
        assert message in mistake


def test_a_missing_config_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml cannot be read: there is no such file"):
        load_config(str(tmp_path / "no.yaml"), RunConfig)


CONFIGS = Path(__file__).parents[3] / "configs"


MODELS = {
    "configs": RunConfig,
    "distill": DistillationConfig,
    "evaluate": EvaluationConfig,
    "sweep": SweepConfig,
    "train": StyleTrainingConfig,
    "train_any_style": AnyStyleTrainingConfig,
    "train_super_resolution": SuperResolutionTrainingConfig,
}


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_config_is_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONFIGS.parent)
    model = MODELS[path.parent.name]
    if issubclass(model, RunConfig):
        load_and_resolve(str(path), model, (), resolve)
    else:
        load_config(str(path), model)


@pytest.mark.parametrize("path", list(shipped_checkpoints()), ids=lambda path: path.name)
def test_every_shipped_checkpoint_has_its_config(path: Path) -> None:
    checkpoint = parse_checkpoint(path.read_bytes())
    has_folder = checkpoint.network in ("any_style", "super_resolution")
    folder = f"train_{checkpoint.network}" if has_folder else "train"
    configs = [load_config(str(file), MODELS[folder]) for file in (CONFIGS / folder).iterdir()]
    (config,) = [each for each in configs if path.as_posix().endswith(each.output.as_posix())]
    assert len(checkpoint.styles) != 1 or set(checkpoint.styles) == {path.stem}
    decisive = config.model_dump(
        mode="json",
        include=config.model_fields_set
        - {"output", "content_images", "style_image", "style_images"},
    )
    if "start" in decisive:
        decisive["start"] = Path(decisive["start"]).name
    for about in [style.training for style in checkpoint.styles.values()] or [checkpoint.training]:
        # A checkpoint lacks the keys that were added after its training.
        assert about == {**about, **{key: decisive[key] for key in decisive.keys() & about.keys()}}


def test_the_shipped_loss_network_has_its_configs() -> None:
    first, further = (
        load_config(str(CONFIGS / "distill" / name), DistillationConfig)
        for name in ("embedded.yaml", "embedded_further.yaml")
    )
    assert further.start == first.output
    assert further.held_out == first.held_out
    assert SHIPPED_WEIGHTS.as_posix().endswith(further.output.as_posix())
