"""The messages for mistakes in a config: the file, the line, the key, and what to do."""

from pathlib import Path

import pytest

from stylebeam.pipeline.cli.arguments import main
from tests.helpers.mistakes import GOOD, message

pytestmark = pytest.mark.usefixtures("inputs")


def test_the_config_of_these_tests_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos.yaml").write_text(GOOD)
    assert main(["validate", "photos.yaml"]) == 0
    assert capsys.readouterr().out.endswith("The config is valid.\n")


OUTPUT = "    output: styled/holiday\n"


@pytest.mark.parametrize(
    ("right", "wrong", "sentence"),
    [
        # Keys.
        (
            OUTPUT,
            OUTPUT + "    qualty: 80\n",
            "photos.yaml:7: batches.holiday.qualty: there is no such key; did you mean quality?",
        ),
        (
            "defaults:\n",
            "defaults:\n  qualty: 80\n",
            "photos.yaml:2: defaults.qualty: there is no such key; did you mean quality?",
        ),
        (
            OUTPUT,
            OUTPUT + "    strength: 0.5\n",
            "photos.yaml:7: batches.holiday.strength: there is no such key here; it belongs in"
            " batches.fast",
        ),
        (
            "run:\n",
            "quality: 80\nrun:\n",
            "photos.yaml:7: quality: there is no such key here; it belongs in batches, or in"
            " defaults",
        ),
        (
            "run:\n",
            "pipelines: 4\nrun:\n",
            "photos.yaml:7: pipelines: there is no such key; there is defaults, batches, run",
        ),
        (OUTPUT, "", "photos.yaml:4: batches.holiday.output: this key is missing"),
        (
            OUTPUT,
            OUTPUT + "    input: photos\n",
            "photos.yaml:7: batches.holiday.input: this key is already in line 5",
        ),
        ("run:", "2026:", "photos.yaml:7: 2026: a key must be text; put it in quotes"),
        # Values.
        (
            OUTPUT,
            OUTPUT + "    exclude: raw\n",
            "photos.yaml:7: batches.holiday.exclude: must be a list, not 'raw'",
        ),
        (
            OUTPUT,
            OUTPUT + "    exclude: [raw, /photos/raw]\n",
            "photos.yaml:7: batches.holiday.exclude.1: must be relative to the input, as in"
            " drafts/**, not /photos/raw",
        ),
        (
            OUTPUT,
            OUTPUT + "    exclude:\n    - ''\n",
            "photos.yaml:8: batches.holiday.exclude.0: must not be empty",
        ),
        (
            OUTPUT,
            OUTPUT + "    keep_times: 1\n",
            "photos.yaml:7: batches.holiday.keep_times: must be true or false, not 1",
        ),
        (
            OUTPUT,
            "    output: gs://bucket/holiday\n    keep_times: true\n",
            "photos.yaml:7: batches.holiday.keep_times: gs://bucket/holiday is not on the local"
            " disk; only files there can keep their times",
        ),
        (
            OUTPUT,
            OUTPUT + "    quality: high\n",
            "photos.yaml:7: batches.holiday.quality: must be a whole number, not 'high'",
        ),
        (
            OUTPUT,
            OUTPUT + "    quality: 200\n",
            "photos.yaml:7: batches.holiday.quality: must be at most 100, not 200",
        ),
        (
            OUTPUT,
            OUTPUT + "    quality:\n",
            "photos.yaml:7: batches.holiday.quality: must be a whole number; it is empty",
        ),
        (
            OUTPUT,
            OUTPUT + "    gps: yes\n",
            "photos.yaml:7: batches.holiday.gps: must be 'keep' or 'drop', not true",
        ),
        (
            OUTPUT,
            OUTPUT + "    format: jpg\n",
            "photos.yaml:7: batches.holiday.format: must be 'same', 'jpeg', 'png', 'webp' or"
            " 'tiff', not 'jpg'; did you mean jpeg?",
        ),
        (
            "name: holiday",
            "name: 2026",
            "photos.yaml:4: batches.2026.name: must be text, not 2026; put it in quotes",
        ),
        (
            OUTPUT,
            OUTPUT
            + "    method: gatys\n    gatys: {style_image: painting.jpg, style_weight: 1e9}\n",
            "photos.yaml:8: batches.holiday.gatys.style_weight: must be a number, not '1e9'; write"
            " 1000000000",
        ),
        (
            "cpu",
            "gpu",
            "photos.yaml:8: run.device: must be 'auto', 'cpu' or 'cuda', not 'gpu'; did you mean"
            " cuda?",
        ),
        (
            "{style: starry_night}",
            "starry_night",
            "photos.yaml:2: defaults.fast: must be a mapping of keys to values, not 'starry_night'",
        ),
        (
            "  - name: holiday\n    input",
            "  holiday:\n    input",
            "photos.yaml:3: batches: must be a list, not a mapping",
        ),
        # Styles, files and folders.
        (
            "starry_night",
            "stary_night",
            "photos.yaml:2: defaults.fast.style: there is no shipped style 'stary_night'; did you"
            " mean starry_night? (A checkpoint of your own is named by its path, ending in"
            " .safetensors.)",
        ),
        (
            "starry_night",
            "mine.safetensors",
            "photos.yaml:2: defaults.fast.style: mine.safetensors cannot be read: there is no such"
            " file.",
        ),
        (
            "input: photos",
            "input: fotos",
            "photos.yaml:5: batches.holiday.input: fotos does not exist; did you mean photos?",
        ),
        (
            "styled/holiday",
            "photos.yaml",
            "photos.yaml:6: batches.holiday.output: photos.yaml is a file, not a folder",
        ),
        (
            "styled/holiday",
            "photos/styled",
            "photos.yaml:5: batches.holiday.input: photos includes photos/styled, where batch"
            " holiday writes; write to a folder outside the input, so that nothing is overwritten"
            " and no result is stylized again",
        ),
        # Methods, and batches.
        (
            OUTPUT,
            OUTPUT + "    method: gaty\n",
            "photos.yaml:7: batches.holiday.method: must be 'fast', 'gatys' or 'super_resolution',"
            " not 'gaty'; did you mean gatys?",
        ),
        (
            OUTPUT,
            OUTPUT + "    method: gatys\n",
            "photos.yaml:4: batches.holiday: method: gatys needs options, as in gatys:"
            " {style_image: painting.jpg}",
        ),
        (
            "defaults:\n  fast: {style: starry_night}\n",
            "",
            "photos.yaml:2: batches.holiday: method: fast needs options, as in fast: {style:"
            " starry_night}",
        ),
        (
            OUTPUT,
            OUTPUT + "  - {name: holiday, input: photos, output: styled/other}\n",
            "photos.yaml:7: batches.holiday.name: another batch is named holiday; give each a name"
            " of its own",
        ),
    ],
)
def test_a_mistake_in_the_file(
    capsys: pytest.CaptureFixture[str], right: str, wrong: str, sentence: str
) -> None:
    assert right in GOOD
    assert message(capsys, GOOD.replace(right, wrong, 1)) == sentence


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("run.devise=cpu", "run.devise: there is no such key; did you mean device?"),
        ("rum.device=cpu", "rum: there is no such key; did you mean run?"),
        ("batches.holidy.quality=80", "there is no holidy in batches; did you mean holiday?"),
        (
            "batches.holiday.quality=high",
            "batches.holiday.quality: must be a whole number, not 'high'",
        ),
        ("defaults.quality=0", "defaults.quality: must be at least 1, not 0"),
        (
            "batches.holiday.name.first=x",
            "batches.holiday.name is a single value, and has no key first",
        ),
        ("run.device", "an override is written key=value, as in run.device=cpu"),
        (
            "run={device: cpu",
            "this is not YAML: expected ',' or '}', but got '<stream end>'; a bracket that opens in"
            " line 1 is not closed",
        ),
    ],
)
def test_a_mistake_in_a_setting(
    capsys: pytest.CaptureFixture[str], setting: str, sentence: str
) -> None:
    assert message(capsys, GOOD, setting) == f"--set {setting}: {sentence}"


def test_a_setting_that_makes_a_value_of_the_file_invalid(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert message(capsys, GOOD, "batches.holiday.output=photos/styled").startswith(
        "photos.yaml:5: batches.holiday.input: photos includes photos/styled, where batch holiday"
    )


def test_all_mistakes_are_reported_at_once_in_the_order_of_their_lines(
    inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = """\
run: {device: gpu}
defaults:
  fast: {style: starry_night}
  quality: high
batches:
  - {name: a, input: photos, output: styled, qualty: 80}
  - {name: a, input: photos, output: photos/styled, format: jpg}
  - name: b
    input: nowhere
    output: styled/b
    fast: {style: stary_night, strenth: 1}
  - name: c
    input: photos
    output: styled/c
    method: gatys
    gatys: {style_image: painting.jpg, style_layers: {relu9_9: 1.0}, iteratons: 5}
"""
    within = (
        "photos includes photos/styled, where batch a writes; write to a folder outside the input,"
        " so that nothing is overwritten and no result is stylized again"
    )
    assert message(capsys, config, "run.max_pixels=0").splitlines() == [
        "13 mistakes:",
        "--set run.max_pixels=0: run.max_pixels: must be at least 1, not 0",
        "photos.yaml:1: run.device: must be 'auto', 'cpu' or 'cuda', not 'gpu'; did you mean cuda?",
        "photos.yaml:4: defaults.quality: must be a whole number, not 'high'",
        f"photos.yaml:6: batches.a.input: {within}",
        "photos.yaml:6: batches.a.qualty: there is no such key; did you mean quality?",
        "photos.yaml:7: batches.a.format: must be 'same', 'jpeg', 'png', 'webp' or 'tiff', not"
        " 'jpg'; did you mean jpeg?",
        f"photos.yaml:7: batches.a.input: {within}",
        "photos.yaml:7: batches.a.name: another batch is named a; give each a name of its own",
        f"photos.yaml:9: batches.b.input: nowhere does not exist; it is looked for in {inputs}",
        "photos.yaml:11: batches.b.fast.strenth: there is no such key; did you mean strength?",
        "photos.yaml:11: batches.b.fast.style: there is no shipped style 'stary_night'; did you"
        " mean starry_night? (A checkpoint of your own is named by its path, ending in"
        " .safetensors.)",
        "photos.yaml:16: batches.c.gatys.iteratons: there is no such key; did you mean iterations?",
        "photos.yaml:16: batches.c.gatys: style_layers: embedded has no layer relu9_9; it has"
        " relu1_1, relu2_1, relu3_1, relu4_1, relu4_2, relu5_1.",
    ]


def test_the_consequences_of_a_mistake_are_not_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """With the invalid value left out, each of these batches would need a style."""
    wrong = GOOD.replace("  - name", "  - method: gaty\n    fast: null\n    name")
    assert message(capsys, wrong).startswith(
        "photos.yaml:4: batches.holiday.method: must be 'fast',"
    )
    wrong = GOOD.replace("  fast: {style: starry_night}", "  fast: {style: 7}")
    assert message(capsys, wrong).startswith(
        "photos.yaml:2: defaults.fast.style: must be a name or"
    )
