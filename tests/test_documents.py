"""What documents say is true: their commands, examples, signatures and links work."""

import ast
import contextlib
import inspect
import io
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from PIL import Image

import stylebeam
from stylebeam.pipeline import StylizeFiles, StylizeImages
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.config.file import load_config
from stylebeam.pipeline.config.run_config import RunConfig
from stylebeam.transforms.checkpoints import shipped_checkpoints

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "transforms").rglob("*.py")]
PLACEHOLDER = "…"


# Shortens commands that take minutes or hours to seconds: the tests ask whether they work, not what
# the results look like.
LOSSES = (
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
        rf"\1 {LOSSES} --set iterations=1 --set crop_size=64",
    ),
    (
        r"(stylebeam train-any-style [^#\n]*)",
        r"\1 --set iterations=1 --set crop_size=64 --set variants=1 --set styles={}",
    ),
    (r"(stylebeam train-super-resolution \S+)", r"\1 --set iterations=1 --set crop_size=64"),
    (
        r"(stylebeam evaluate \S+)",
        rf"\1 {LOSSES} --set also_measure_by=[] --set optimization_iterations=0 --set size=64"
        " --set checkpoints=[transforms/weights/johnson_udnie.safetensors]",
    ),
]


def commands(name: str) -> list[str]:
    """The shell commands of a document, block by block, shortened."""
    found = blocks(name, "sh")
    for long, short in SHORTENED:
        found = [re.sub(long, short, block, flags=re.M) for block in found]
    return found


def blocks(name: str, language: str) -> list[str]:
    """The code blocks of a document in a language."""
    pattern = rf"^```{language}\n(.*?)^```"
    return re.findall(pattern, (ROOT / name).read_text(), re.M | re.S)


def run_python(name: str) -> str:
    """Run the Python examples of a document, as one program; return what it prints."""
    program = "\n".join(blocks(name, "python"))
    Path("program.py").write_text(program.replace("iterations=50", "iterations=2"))
    return run(f'"{sys.executable}" program.py')


def messages() -> Iterator[str]:
    """All strings in the code, with a placeholder for what is filled in."""
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
    """A folder with the parts of a checkout that the documents use; its photos are small."""
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
    # Also works where stylebeam is not installed.
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


# Sends the arguments of a command to `run_in_shell`, and prints what that returns.
CLIENT = """
import json, socket, sys
with socket.create_connection(("localhost", int(sys.argv[1]))) as server:
    server.sendall(json.dumps(sys.argv[2:]).encode())
    server.shutdown(socket.SHUT_WR)
    code, printed = json.load(server.makefile())
sys.stdout.write(printed)
sys.exit(code)
"""


def run_in_shell(block: str) -> str:
    """Run a block of a document as its reader would; return what it prints.

    Its commands of stylebeam run in this process: to start Python for each takes longer than most
    of them.
    """
    with socket.create_server(("localhost", 0)) as server, tempfile.TemporaryFile("w+") as printed:
        client = shlex.join([sys.executable, "-ISc", CLIENT, str(server.getsockname()[1])])
        script = f'stylebeam() {{ {client} "$@"; }}\n{block}'
        server.settimeout(0.1)
        with subprocess.Popen(["bash", "-euc", script], stdout=printed, stderr=printed) as shell:
            while shell.poll() is None:
                with contextlib.suppress(TimeoutError):
                    answer(server.accept()[0])
        printed.seek(0)
        text = printed.read()
    assert shell.returncode == 0, f"{block}\n{text}"
    return text


def answer(client: socket.socket) -> None:
    """Run the command of stylebeam whose arguments a client sends."""
    with client:
        client.settimeout(10)
        arguments = json.load(client.makefile())
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            code = main(arguments)
        client.sendall(json.dumps([code, printed.getvalue()]).encode())


@pytest.mark.slow
def test_getting_started(checkout: Path) -> None:
    install, *blocks = commands("docs/getting-started.md")
    assert "pip install" in install
    said = [run_in_shell(block) for block in blocks]
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


@pytest.mark.slow
def test_a_style_of_your_own(checkout: Path) -> None:
    shutil.copytree("samples/photos", "photos")
    shutil.copytree("samples/paintings", "paintings")
    shutil.copy("samples/paintings/swirls.jpg", "my_painting.jpg")
    for block in commands("docs/training.md"):
        run_in_shell(block)
    assert {path.name for path in Path().glob("*.safetensors")} == {
        "my_style.safetensors",
        "mine.safetensors",
        "any_style.safetensors",
        "style_predictor.safetensors",
    }
    assert Path("cat_mine.png").is_file()
    assert Path("cat_blended.png").is_file()


@pytest.fixture
def photos(checkout: Path) -> Path:
    """A checkout with the photos and paintings that several documents name."""
    Image.open("samples/photos/cat.png").convert("RGB").save("cat.jpg")
    shutil.copy("samples/paintings/swirls.jpg", "painting.jpg")
    Path("photos").mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy("samples/photos/cat.png", f"photos/{name}")
    return checkout


def run_in_process(lines: str) -> None:
    """Run commands of stylebeam without starting Python for each."""
    for line in lines.replace("\\\n", " ").splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "stylebeam"
        assert main(arguments) == 0, line


@pytest.mark.slow
def test_the_readme(photos: Path) -> None:
    install, test, shell = commands("README.md")
    assert "pip install" in install
    assert "pytest" in test
    [config] = blocks("README.md", "yaml")
    Path("photos.yaml").write_text(config)
    run_in_process(shell)
    run_python("README.md")
    written = ["preview.png", "styled/a.png", "cat_starry.jpg", "cat_mine.jpg", "cat_blend.jpg"]
    assert [name for name in written if not Path(name).exists()] == []


def test_the_readme_lists_all_documents() -> None:
    text = (ROOT / "README.md").read_text()
    names = [str(path.relative_to(ROOT)) for path in DOCUMENTS[1:]]
    names += ["CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "SECURITY.md", "benchmarks/README.md"]
    assert [name for name in names if f"]({name})" not in text] == []


@pytest.mark.slow
def test_commands(photos: Path) -> None:
    shutil.copytree("samples/photos", "photos/train")
    shutil.copytree("samples/photos", "photos/held_out")
    shutil.copy("painting.jpg", "mine.jpg")
    Path("paintings").mkdir()
    for style in {style for styles in shipped_checkpoints().values() for style in styles}:
        shutil.copy("painting.jpg", f"paintings/{style}.jpg")
    shutil.copy("transforms/weights/any_style.safetensors", "paintings.safetensors")
    Path("photos.yaml").write_text(
        "batches: [{name: holiday, input: cat.jpg, output: styled, fast: {style: starry_night}}]"
    )
    run_in_process("".join(commands("docs/commands.md")))
    written = ["preview.png", "styled/cat.jpg", "cat_starry.jpg", "cat_mine.jpg", "out/evaluation"]
    assert [name for name in written if not Path(name).exists()] == []
    assert len(list(Path().glob("*.safetensors"))) == 6


@pytest.mark.slow
def test_the_python_api(photos: Path) -> None:
    [config] = blocks("README.md", "yaml")
    Path("photos.yaml").write_text(config)
    printed = run_python("docs/api.md")
    for text in (
        "starry_night Vincent van Gogh, The Starry Night, 1889; any_style",
        "canceled",
        "holiday {'done': 2}",
        "('photos.yaml', 'The file is not an image of a known kind.')",
        "photos/b.png done None",
        "did you mean starry_night",
    ):
        assert text in printed
    written = ["cat_starry.jpg", "cat.jpg.webp", "styled_files/a.png"]
    assert [name for name in written if not Path(name).exists()] == []


def test_signatures_of_the_python_api() -> None:
    headings = re.findall(r"^### `(\w+)(\(.*\))`$", (ROOT / "docs/api.md").read_text(), re.M)
    assert len(headings) == 9
    for name, signature in headings:
        value = {"StylizeFiles": StylizeFiles, "StylizeImages": StylizeImages}.get(name)
        actual = inspect.signature(value or getattr(stylebeam, name))
        parameters = [
            each.replace(annotation=inspect.Parameter.empty) for each in actual.parameters.values()
        ]
        assert signature == str(inspect.Signature(parameters)), name


class _Labels(PipelineVisitor):
    """Collects the steps of transforms, without what is in Beam's own."""

    def __init__(self) -> None:
        self.labels: set[str] = set()

    def enter_composite_transform(self, node: AppliedPTransform) -> None:
        if type(node.transform).__module__.startswith("stylebeam"):
            self.labels |= {part.full_label for part in node.parts}
            self.labels.discard(node.full_label)


@pytest.mark.parametrize(
    ("transform", "elements"),
    [
        (StylizeImages(style="udnie"), [("a", b"")]),
        (StylizeFiles("in", "out", style="udnie"), ["in/a.jpg"]),
    ],
    ids=["StylizeImages", "StylizeFiles"],
)
def test_labels_of_the_steps(transform: beam.PTransform, elements: list[object]) -> None:
    name = type(transform).__name__
    _, _, table = (ROOT / "docs/api.md").read_text().partition(f"| label in `{name}` |")
    documented = re.findall(r"^\| `([\w/]+)` \|", table.partition("\n\n")[0], re.M)
    pipeline = beam.Pipeline()
    _ = pipeline | beam.Create(elements) | name >> transform
    visitor = _Labels()
    pipeline.visit(visitor)
    labels = {label.removeprefix(f"{name}/") for label in visitor.labels}
    assert labels - {"StylizeTasks"} == set(documented)


@pytest.mark.slow
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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_configs_in_documents_are_valid(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for text in blocks(str(document.relative_to(ROOT)), "yaml"):
        Path("config.yaml").write_text(text)
        load_config("config.yaml", RunConfig)


def test_the_map_of_the_architecture_has_every_module_once() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    linked = re.findall(r"\]\(\.\./([\w/]+\.py)\)", text)
    modules = [*(ROOT / "stylebeam").glob("*.py"), *CODE]
    assert sorted(linked) == sorted(str(path.relative_to(ROOT)) for path in modules)
