"""`stylebeam stylize` and `stylebeam styles`."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from stylebeam.pipeline.cli.arguments import main
from tests.helpers.command import stylebeam


def test_a_photo_to_a_file(
    tmp_path: Path, checkpoint_path: Path, gradient: Callable[[int, int], Image.Image]
) -> None:
    gradient(40, 30).save(tmp_path / "in.png")
    files = [str(tmp_path / "in.png"), str(tmp_path / "out.webp")]
    assert main(["stylize", *files, "--style", str(checkpoint_path)]) == 0
    with Image.open(tmp_path / "out.webp") as image:
        assert (image.format, image.size) == ("WEBP", (40, 30))


def test_a_photo_too_large_for_the_format_is_refused_first(
    tmp_path: Path,
    checkpoint_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Image.new("RGB", (65_501, 1)).save(tmp_path / "in.png")
    files = [str(tmp_path / "in.png"), str(tmp_path / "out.jpg")]
    computing = "stylebeam.transforms.engine.Engine.__call__"
    monkeypatch.setattr(computing, lambda *args: pytest.fail("it was computed"))
    assert main(["stylize", *files, "--style", str(checkpoint_path)]) == 1
    assert capfd.readouterr().err == (
        "stylebeam: A picture of 65501x1 pixels cannot be written as jpeg: a side may have at most"
        " 65500 pixels. Choose another format, such as png or tiff.\n"
    )


@pytest.mark.slow
def test_standard_input_to_standard_output(
    checkpoint_path: Path, gradient: Callable[[int, int], Image.Image]
) -> None:
    buffer = io.BytesIO()
    gradient(40, 30).save(buffer, "JPEG")
    arguments = ["-", "-", "--style", str(checkpoint_path), "--format", "jpeg"]
    done = stylebeam("stylize", *arguments, input=buffer.getvalue(), text=False)
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("JPEG", (40, 30))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["a.jpg", "out.jpg", "--style", "starry_nigth"], 2, "did you mean starry_night?"),
        (["none.jpg", "out.jpg", "--style", "udnie"], 1, "none.jpg cannot be read: there is no"),
        (["a.jpg", "out.xcf", "--style", "udnie"], 2, "out.xcf: the name must end in one of .jpg"),
        (["a.jpg", "out.jpg"], 2, "stylize needs --style NAME, or --style-image PAINTING"),
        (
            ["a.jpg", "out.jpg", "--style", "udnie", "--format", "png"],
            2,
            "--format is only for standard output",
        ),
        (
            ["a.jpg", "out.jpg", "--style", "udnie", "--set", "iterations=5"],
            2,
            "--set sets an option of an optimization, and needs --optimize",
        ),
        (
            ["a.jpg", "out.jpg", "--style", "udnie", "--style-image", "b.png", "--optimize"],
            2,
            "uses --style only with --set init=fast",
        ),
        (["a.jpg", "out.jpg", "--optimize"], 2, "--optimize needs --style-image PAINTING"),
    ],
)
def test_mistakes_are_explained(
    photos: Path,
    arguments: list[str],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(photos)
    assert main(["stylize", *arguments]) == code
    assert message in capsys.readouterr().err
    assert not Path("out.jpg").exists()


@pytest.mark.parametrize("source", ["a.jpg", "link.jpg"])
@pytest.mark.parametrize("target", ["a.jpg", "./a.jpg"])
def test_the_photo_is_never_overwritten(
    photos: Path, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    Path("link.jpg").symlink_to("a.jpg")
    before = Path("a.jpg").read_bytes()
    assert main(["stylize", source, target, "--style", "udnie"]) == 2
    assert Path("a.jpg").read_bytes() == before


def test_styles_lists_the_shipped_styles(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["styles"]) == 0
    printed = capsys.readouterr().out
    for name in ("starry_night", "udnie"):
        assert f"{name}: johnson, " in printed
    (wave,) = (line for line in printed.splitlines() if line.startswith("great_wave: "))
    assert "Katsushika Hokusai, The Great Wave off Kanagawa, 1831" in wave


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "mine.safetensors"], "--from PAINTING and --output FILE go together"),
        (["--from", "b.png"], "--from PAINTING and --output FILE go together"),
        (["--from", "b.png", "--output", "mine.png"], "--output must end in .safetensors"),
        (
            ["--from", "b.png", "--output", "mine.safetensors", "--refine", "5"],
            "--refine needs --photo FILE",
        ),
        (
            ["--from", "b.png", "--output", "m.safetensors", "--refine", "0", "--photo", "a.jpg"],
            "--refine must be above 0",
        ),
        (["--from", "none.png", "--output", "mine.safetensors"], "none.png cannot be read"),
    ],
)
def test_mistakes_about_a_kept_style_are_explained(
    photos: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(photos)
    assert main(["styles", *arguments]) != 0
    assert message in capsys.readouterr().err
    assert not list(photos.glob("*.safetensors"))


@pytest.mark.slow
def test_options_of_the_optimization_still_optimize(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photos)
    painting = ["--style-image", "b.png", "--set", "iterations=2"]
    assert main(["stylize", "a.jpg", "old.png", *painting]) == 0
    assert "Add --optimize: the next release will require it." in capsys.readouterr().err
    assert main(["stylize", "a.jpg", "new.png", *painting, "--optimize"]) == 0
    assert capsys.readouterr().err == ""
    assert Path("old.png").read_bytes() == Path("new.png").read_bytes()
