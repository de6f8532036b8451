"""What documents say is so: their commands work, their links lead somewhere."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from stylebeam.pipeline.cli.arguments import main
from stylebeam.transforms.checkpoints import shipped_checkpoints

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "transforms").rglob("*.py")]
PLACEHOLDER = "…"


# What makes a command that takes minutes or hours one of seconds: it is asked whether it works, not
# what comes of it.
JUDGED = (
    "--set loss_network=embedded --set 'content_weights={relu3_1: 1.0}'"
    " --set 'style_weights={relu3_1: 1.0}'"
)
SHORTENED = [
    (r"--minutes \d+", "--minutes 0.02"),
    (r"(--style-image \S+)(?= *(#|--set|$))", r"\1 --set iterations=1"),
    (r"(gatys: \{style_image: [^}]*)\}", r"\1, iterations: 1}"),
    (r"(stylebeam sweep \S+)", r"\1 --set batches.0.gatys.iterations=1"),
    (
        r"(stylebeam train \S+\.yaml)",
        rf"\1 {JUDGED} --set iterations=1 --set crop_size=64",
    ),
    (r"(stylebeam train-super-resolution \S+)", r"\1 --set iterations=1 --set crop_size=64"),
    (
        r"(stylebeam evaluate \S+)",
        rf"\1 {JUDGED} --set optimisation_iterations=0 --set size=64",
    ),
]


def commands(name: str) -> list[str]:
    """The shell commands of a document, block by block, shortened."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / name).read_text(), re.M | re.S)
    for long, short in SHORTENED:
        blocks = [re.sub(long, short, block, flags=re.M) for block in blocks]
    return blocks


def messages() -> Iterator[str]:
    """All texts in the code, with a placeholder for what is filled in."""
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    part.value if isinstance(part, ast.Constant) else PLACEHOLDER
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the documents' commands take from a checkout, but its photos are small."""
    for name in ("samples", "configs", "transforms/weights"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for path in (tmp_path / "samples" / "photos").iterdir():
        with Image.open(path) as image:
            image.thumbnail((96, 96))
            image.save(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str, **variables: str) -> str:
    """Run a command of a document as its reader would; return what it prints."""
    environment = {
        **os.environ,
        **variables,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    # Where stylebeam is not installed, only its source is there.
    stylebeam = f'stylebeam() {{ "{sys.executable}" -m stylebeam "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-euc", stylebeam + command],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_getting_started(checkout: Path) -> None:
    install, *blocks = commands("docs/getting-started.md")
    assert "pip install" in install
    said = [run(block) for block in blocks]
    written = ["cat_starry.png", "styles.png", "cat_soft.png", "preview.png", "cat_swirls.png"]
    assert [name for name in written if not Path(name).is_file()] == []
    again = next(text for text in said if "6 up to date" in text)
    assert "holiday: 0 done, 6 skipped, 0 failed" in again
    assert "holiday: 1 done, 6 skipped, 0 failed" in again
    assert "holiday: 7 done, 0 failed" in again
    retried = next(text for text in said if "exit code 3" in text)
    assert "failed: photos/broken.jpg: The file is not an image of a known kind." in retried
    assert retried.rstrip().endswith("styled/_stylebeam/report.html")
    assert len(list(Path("best").rglob("*.png"))) == 1


def test_a_style_of_your_own(checkout: Path) -> None:
    shutil.copytree("samples/photos", "photos")
    shutil.copy("samples/paintings/swirls.jpg", "my_painting.jpg")
    for block in commands("docs/training.md"):
        run(block)
    assert {path.name for path in Path().glob("*.safetensors")} == {
        "my_style.safetensors",
        "mine.safetensors",
    }
    assert Path("cat_mine.png").is_file()
    assert Path("cat_blended.png").is_file()


def test_the_readme(checkout: Path) -> None:
    shutil.copytree("samples/photos", "photos/train")
    shutil.copytree("samples/photos", "photos/held_out")
    Image.open("samples/photos/cat.png").convert("RGB").save("cat.jpg")
    shutil.copy("samples/paintings/swirls.jpg", "painting.jpg")
    shutil.copy("painting.jpg", "mine.jpg")
    Path("paintings").mkdir()
    for style in {style for styles in shipped_checkpoints().values() for style in styles}:
        shutil.copy("painting.jpg", f"paintings/{style}.jpg")
    shutil.copy("transforms/weights/multi_style.safetensors", "paintings.safetensors")
    Path("photos.yaml").write_text(
        "batches: [{name: holiday, input: cat.jpg, output: styled, fast: {style: starry_night}}]"
    )
    install, test, *blocks = commands("README.md")
    assert "pip install" in install
    assert "pytest" in test
    for line in "".join(blocks).replace("\\\n", " ").splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "stylebeam"
        assert main(arguments) == 0, line
    written = ["preview.png", "styled/cat.jpg", "cat_starry.jpg", "cat_mine.jpg", "out/evaluation"]
    assert [name for name in written if not Path(name).exists()] == []
    assert len(list(Path().glob("*.safetensors"))) == 4


def test_optimization(checkout: Path) -> None:
    Image.open("samples/photos/cat.png").convert("RGB").save("photo.jpg")
    shutil.copy("samples/paintings/swirls.jpg", "painting.jpg")
    for block in commands("docs/optimization.md"):
        run(block)
    assert Path("styled.jpg").is_file()


def test_messages_of_the_troubleshooting_are_those_of_the_program() -> None:
    known = list(messages())
    sections = re.findall(r"^### (.*)$", (ROOT / "docs/troubleshooting.md").read_text(), re.M)
    assert len(sections) > 15
    assert [each for each in sections if not any(each in text for text in known)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    local = [link.partition("#")[0] for link in links if "://" not in link]
    assert [link for link in local if link and not (document.parent / link).exists()] == []


def test_the_architecture_names_modules_that_exist() -> None:
    rows = re.findall(r"^\| (`[^|]*) \|", (ROOT / "docs/architecture.md").read_text(), re.M)
    named = {name for row in rows for name in re.findall(r"`([\w/]+)`", row)}
    existing = {
        str(path.relative_to(ROOT / package).with_suffix("")) + "/" * path.is_dir()
        for package in ("pipeline", "transforms")
        for path in (ROOT / package).iterdir()
    }
    assert len(named) > 30
    assert named - existing == set()
