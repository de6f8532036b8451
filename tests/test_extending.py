"""The method of docs/extending.md works as the document says: two files and a row."""

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from PIL import Image, ImageChops

ROOT = Path(__file__).parents[1]

# What the two files and the row would do in the repository, for one process. It runs commands and
# prints the JSON that each of them prints.
WITH_THE_METHOD = """\
import contextlib, io, json, sys
import stylebeam.pipeline.methods as methods
import stylebeam.transforms as transforms

methods.__path__.append("methods")
transforms.__path__.append("transforms")
from stylebeam.pipeline.methods.invert import InvertOptions

methods.METHODS["invert"] = InvertOptions

from stylebeam.pipeline.cli.arguments import main

printed = []
for command in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        code = main(command.split())
    assert code == 0, command
    printed.append(json.loads(output.getvalue()))
print(json.dumps(printed))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the document's two files and config, and a photo."""
    text = (ROOT / "docs/extending.md").read_text()
    section = text[text.index("## A method") : text.index("## A storage")]
    blocks = re.findall(r"^ *```(\w+)\n(.*?)^ *```$", section, re.M | re.S)
    engine, options, row, config = [textwrap.dedent(block) for _, block in blocks]
    assert row.startswith("METHODS")
    for path, block in {
        "transforms/inversion.py": engine,
        "methods/invert.py": options,
        "config.yaml": config,
        "command.py": WITH_THE_METHOD,
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(block)
    (tmp_path / "photos").mkdir()
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "photos" / "a.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_method_of_the_document_works(folder: Path) -> None:
    half = "--set batches.negatives.invert.strength=0.5 --set batches.negatives.output=half"
    commands = ["run config.yaml --json"] * 2 + [f"run config.yaml --json {half}", "schema run"]
    done = subprocess.run(
        [sys.executable, "command.py", *commands], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *runs, schema = json.loads(done.stdout)
    counts = [(batch["done"], batch["skipped"]) for run in runs for batch in run["batches"]]
    assert counts == [(1, 0), (0, 1), (1, 0)]
    with Image.open("photos/a.png") as photo, Image.open("negatives/a.png") as picture:
        difference = ImageChops.difference(ImageChops.invert(photo), picture)
    assert difference.getbbox() is None
    with Image.open("half/a.png") as picture:
        assert picture.getextrema() == ((128, 128),) * 3
    options = schema["definitions"]["batch"]["properties"]["invert"]
    assert options["properties"]["strength"]["maximum"] == 1


def test_the_code_of_the_document_is_clean(folder: Path) -> None:
    ruff = [sys.executable, "-m", "ruff"]
    own = "lint.isort.known-first-party = ['stylebeam']"
    options = ["--config", str(ROOT / "pyproject.toml"), "--config", own]
    for action in (["check"], ["format", "--check"]):
        subprocess.run([*ruff, *action, *options, "methods", "transforms"], check=True)
