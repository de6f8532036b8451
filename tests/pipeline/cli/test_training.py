"""The commands that train networks, and the use of what they train."""

from pathlib import Path

import pytest
from PIL import Image

from stylebeam.pipeline.cli.arguments import main
from tests.helpers.two_batches import image_sizes

pytestmark = pytest.mark.slow


def test_training_a_style_downloads_nothing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    style = tmp_path / "mine.safetensors"
    photo = str(photos / "a.jpg")
    images = ["--style-image", photo, "--content-images", str(photos)]
    length = ["--minutes", "0.001", "--set", "crop_size=48"]
    assert main(["train", *images, "--output", str(style), *length]) == 0
    assert main(["stylize", photo, str(tmp_path / "mine.png"), "--style", str(style)]) == 0
    with Image.open(tmp_path / "mine.png") as image:
        assert image.size == (50, 41)


def test_a_style_that_is_added_to_a_checkpoint_can_be_blended_with_the_others(
    photos: Path,
    two_styles_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    images = ["--style-image", "photos/a.jpg", "--content-images", "photos"]
    length = ["--minutes", "0.001", "--set", "crop_size=48"]
    checkpoints = ["--add-to", str(two_styles_path), "--output", "three.safetensors"]
    assert main(["train", *images, *checkpoints, *length]) == 0
    assert "fast: {checkpoint: three.safetensors, style: a}" in capsys.readouterr().out

    def stylized(*styles: str) -> bytes:
        flags = [part for style in styles for part in ("--style", style)]
        checkpoint = ["--checkpoint", "three.safetensors"]
        assert main(["stylize", "photos/b.png", "out.png", *flags, *checkpoint]) == 0
        with Image.open("out.png") as image:
            return image.convert("RGB").tobytes()

    one, other = stylized("one"), stylized("a")
    assert stylized("one=2", "a=0") == one
    assert stylized("one=1", "a=1") not in (one, other)


def test_a_network_for_any_painting_is_trained_with_a_named_style(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("paintings").mkdir()
    (photos / "b.png").rename("paintings/b.png")
    Path("train.yaml").write_text("""
paintings: paintings
content_images: photos
output: any.safetensors
predictor: predictor.safetensors
crop_size: 64
variants: 1
styles:
  mine: {painting: b.png, artist: Me, title: B, year: "2020", source: mine}
""")
    assert main(["train-any-style", "train.yaml", "--set", "iterations=1"]) == 0
    assert Path("predictor.safetensors").is_file()
    assert "fast: {checkpoint: any.safetensors, style: mine}" in capsys.readouterr().out
    checkpoint = ["--checkpoint", "any.safetensors", "--style", "mine"]
    assert main(["stylize", "photos/a.jpg", "out.png", *checkpoint]) == 0
    with Image.open("out.png") as image:
        assert image.size == (50, 41)
    assert main(["train-any-style", "train.yaml", "--set", "styles.mine.titel=C"]) == 2
    assert "styles.mine.titel: there is no such key" in capsys.readouterr().err


def test_a_super_resolution_network_is_trained_and_enlarges_photos(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    exif = Image.Exif()
    exif[0x8769] = {0xA002: 20, 0xA003: 10, 0x9003: "2020:02:02 20:20:20"}
    picture = Image.new("RGBA", (20, 10), (200, 30, 30, 255))
    picture.paste((30, 30, 200, 0), (10, 0, 20, 10))
    picture.save(photos / "clear.png", exif=exif)
    Path("train.yaml").write_text(
        "{content_images: photos, output: x2.safetensors, factor: 2, crop_size: 32, iterations: 1}"
    )
    assert main(["train-super-resolution", "train.yaml"]) == 0
    assert "super_resolution: {checkpoint: x2.safetensors}" in capsys.readouterr().out
    Path("enlarge.yaml").write_text("""
batches:
  - name: x2
    input: photos
    output: out
    method: super_resolution
    super_resolution: {checkpoint: x2.safetensors}
""")
    assert main(["run", "enlarge.yaml"]) == 0
    before, after = image_sizes("photos"), image_sizes("out")
    assert after == {path: (2 * width, 2 * height) for path, (width, height) in before.items()}
    with Image.open("out/clear.png") as image:
        assert image.getpixel((3, 10))[3] == 255
        assert image.getpixel((36, 10))[3] == 0
        tags = image.getexif().get_ifd(0x8769)
        assert (tags[0xA002], tags[0xA003], tags[0x9003]) == (40, 20, "2020:02:02 20:20:20")
