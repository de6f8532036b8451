"""The messages for configs that are not YAML."""

import pytest

from stylebeam.pipeline.cli.arguments import main
from tests.helpers.mistakes import GOOD, message

pytestmark = pytest.mark.usefixtures("inputs")


@pytest.mark.parametrize(
    ("right", "wrong", "sentence"),
    [
        (
            "    input",
            "\tinput",
            "photos.yaml:5: this is not YAML: there is a tab here; indent with spaces",
        ),
        (
            "name: holiday",
            "name:holiday",
            "photos.yaml:5: this is not YAML: there is a colon where none is allowed; write each"
            " key on its own line with a space after its colon, indent the keys of a mapping"
            " equally, and put text that contains ': ' in quotes",
        ),
        (
            "    output",
            "   output",
            "photos.yaml:6: this is not YAML: this line does not continue the ones above; is its"
            " indentation the same?",
        ),
        (
            "night}",
            "night",
            "photos.yaml:3: this is not YAML: expected ',' or '}', but got ':'; a bracket that"
            " opens in line 2 is not closed",
        ),
        (
            "input: photos",
            "input: {{ photos }}",
            "photos.yaml:5: a key must be text; put a value that starts with a bracket in quotes",
        ),
        (
            "run:",
            "---\nrun:",
            "photos.yaml:7: this is not YAML: a second document starts here; a config is a single"
            " document",
        ),
        ("holiday", "holi\x07day", "photos.yaml:4: the character U+0007 is not allowed in YAML"),
        (GOOD, "", "photos.yaml: this is empty; a config is a mapping of keys to values"),
        (
            GOOD,
            "- name: holiday\n",
            "photos.yaml:1: a config is a mapping of keys to values, not a list",
        ),
    ],
)
def test_a_file_that_is_not_yaml(
    capsys: pytest.CaptureFixture[str], right: str, wrong: str, sentence: str
) -> None:
    assert right in GOOD
    assert message(capsys, GOOD.replace(right, wrong, 1)) == sentence


@pytest.mark.parametrize(
    ("text", "line"), [(GOOD.replace("holiday", "été").encode("latin-1"), 4), (b"\xff\xd8\xff", 1)]
)
def test_a_file_that_is_not_utf_8(
    capsys: pytest.CaptureFixture[str], text: bytes, line: int
) -> None:
    assert message(capsys, text) == (
        f"photos.yaml:{line}: this is not UTF-8 text; is it a config, and saved as UTF-8?"
    )


def test_a_missing_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "fotos.yaml"]) == 2
    assert capsys.readouterr().err == (
        "stylebeam: fotos.yaml cannot be read: there is no such file.\n"
    )
