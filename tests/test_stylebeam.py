"""The Python interface, `import stylebeam`."""

import inspect
import io
import json
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import stylebeam
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.methods.contract import MethodError

HEAVY = ("torch", "apache_beam", "yaml", "numpy", "PIL", "pandas", "google.cloud.storage")


def imported_by(program: str, *modules: str) -> set[str]:
    """Return which of the modules a program has imported."""
    report = f"{program}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    output = subprocess.run(
        [sys.executable, "-c", report], check=True, capture_output=True, text=True
    ).stdout
    return set(modules) & set(json.loads(output.splitlines()[-1]))


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert imported_by("import stylebeam; dir(stylebeam)", *HEAVY) == set()


@pytest.mark.slow
def test_opening_and_using_a_style_does_not_import_beam() -> None:
    program = (
        "import io, stylebeam; from PIL import Image\n"
        "file = io.BytesIO(); Image.new('RGB', (40, 30), 'red').save(file, 'PNG')\n"
        "stylizer = stylebeam.open_style('starry_night', device='cpu')\n"
        "stylebeam.encode(stylizer(stylebeam.decode(file.getvalue())), 'jpeg')"
    )
    assert imported_by(program, "apache_beam", "yaml", "google.cloud.storage") == set()


@pytest.mark.slow
def test_importing_the_ptransforms_has_no_side_effects() -> None:
    program = (
        "import logging, os\n"
        # What other libraries do does not count.
        "import apache_beam.ml.inference.base, cv2, openvino, torch, torchvision\n"
        "before = (list(logging.getLogger().filters), dict(os.environ))\n"
        "import stylebeam.pipeline; stylebeam.pipeline.StylizeImages\n"
        "assert before == (list(logging.getLogger().filters), dict(os.environ))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.fixture
def photo(photos: Path) -> stylebeam.Photo:
    return stylebeam.decode((photos / "a.jpg").read_bytes())


def test_an_opened_style_gives_the_same_picture_as_the_command(
    photos: Path, photo: stylebeam.Photo, checkpoint_path: Path, tmp_path: Path
) -> None:
    stylizer = stylebeam.open_style(str(checkpoint_path), strength=0.5, device="cpu")
    command = ["stylize", str(photos / "a.jpg"), str(tmp_path / "out.png"), "--device", "cpu"]
    assert main([*command, "--style", str(checkpoint_path), "--strength", "0.5"]) == 0
    assert stylebeam.encode(stylizer(photo), "png") == (tmp_path / "out.png").read_bytes()


def test_engines_report_progress_and_can_be_canceled(
    photo: stylebeam.Photo, checkpoint_path: Path, photos: Path
) -> None:
    engines = [
        stylebeam.open_style(str(checkpoint_path), device="cpu"),
        stylebeam.open_super_resolution(device="cpu"),
        stylebeam.open_optimization(str(photos / "b.png"), iterations=3, device="cpu"),
    ]
    for engine in engines:
        done: list[float] = []
        picture = engine(photo, progress=done.append)
        assert picture.size == tuple(engine.scale * side for side in photo.size)
        assert done == sorted(done)
        assert (done[0], done[-1]) == (0.0, 1.0)
        assert engine.memory_needed(*photo.size) > photo.pixels.nbytes
        cancel = threading.Event()
        cancel.set()
        with pytest.raises(stylebeam.Canceled):
            engine(photo, cancel=cancel)


def test_an_optimization_can_start_from_a_stylized_photo(
    photo: stylebeam.Photo, checkpoint_path: Path, photos: Path
) -> None:
    fast = {"style": str(checkpoint_path)}
    engine = stylebeam.open_optimization(
        str(photos / "b.png"), init="fast", fast=fast, iterations=1, device="cpu"
    )
    assert engine(photo).size == photo.size


def test_shipped_styles_and_networks_can_be_opened() -> None:
    styles = stylebeam.list_styles()
    assert len({style.name for style in styles}) == len(styles) > 5
    assert "starry_night" in {style.name for style in styles}
    for network in stylebeam.list_super_resolution():
        assert stylebeam.open_super_resolution(network.name, device="cpu").scale == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"style": "starry_nite"}, "did you mean starry_night"),
        ({"style": {"udnie": 0.0}}, "needs a part above 0"),
        ({"style": "udnie", "strength": -1.0}, "strength: .*greater than or equal to 0"),
        ({"style": "udnie", "checkpoint": "gone.safetensors"}, "gone.safetensors cannot be read"),
    ],
)
def test_mistakes_are_explained(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(MethodError, match=message):
        stylebeam.open_style(**arguments)


def test_a_config_can_be_run(one_batch: Path) -> None:
    (one_batch / "photos" / "text.png").write_text("no image")
    summary = stylebeam.run("config.yaml", settings=["batches.all.format=png"])
    [batch] = summary.batches
    assert dict(batch.counts) == {"done": 3, "failed": 1}
    assert summary.failed == 1
    assert batch.failures[0].error == "The file is not an image of a known kind."
    with Image.open(io.BytesIO((one_batch / "out" / "a.png").read_bytes())) as picture:
        assert picture.format == "PNG"
    assert (one_batch / "out" / "_stylebeam" / "report.html").exists()


def examples() -> Iterator[tuple[str, str]]:
    """Yield the names of documented objects, and the code in their docstrings.

    An example is an indented block after an empty line.
    """
    for name in ("", *stylebeam.__all__):
        documented = getattr(stylebeam, name) if name else stylebeam
        blocks = re.findall(r"\n\n((?: {4}.*\n|\n)+)", inspect.getdoc(documented) or "")
        if blocks:
            yield name or "stylebeam", "".join(map(textwrap.dedent, blocks))


EXAMPLES = dict(examples())


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_in_docstrings_run(
    name: str, photo: stylebeam.Photo, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    (photos / "a.jpg").rename("cat.jpg")
    (photos / "b.png").rename("painting.jpg")
    Path("photos.yaml").write_text(
        "batches: [{name: all, input: photos, output: styled, fast: {style: starry_night}}]"
    )
    exec(EXAMPLES[name], {"stylebeam": stylebeam, "photo": photo})


def test_there_are_examples_for_all_functions_that_open_engines() -> None:
    opening = {name for name in stylebeam.__all__ if name.startswith("open_")}
    assert {"stylebeam", *opening} <= set(EXAMPLES)
