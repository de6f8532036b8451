"""Tests of previews: what the cells of a contact sheet show."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.methods import gatys
from stylebeam.pipeline.runs import preview
from stylebeam.transforms.checkpoints import parse_checkpoint, shipped_checkpoints
from stylebeam.transforms.images.contact_sheet import contact_sheet
from tests.helpers.volumes import mounted_again


class Sheets:
    """Lays out contact sheets, and records their rows and labels."""

    def __init__(self) -> None:
        self.rows: list[list[Image.Image]] = []
        self.labels: list[str] = []

    def lay_out(
        self,
        rows: Sequence[Sequence[Image.Image]],
        row_labels: Sequence[str],
        column_labels: Sequence[str],
        title: str,
    ) -> Image.Image:
        self.rows, self.labels = [list(row) for row in rows], list(row_labels)
        return contact_sheet(rows, row_labels, column_labels, title)


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> Sheets:
    made = Sheets()
    monkeypatch.setattr(preview, "contact_sheet", made.lay_out)
    return made


def middle(image: Image.Image, side: int) -> np.ndarray:
    left, top = ((length - side) // 2 for length in image.size)
    return np.asarray(image.crop((left, top, left + side, top + side)), np.int16)


@pytest.fixture
def photo(photos: Path) -> Image.Image:
    """The only photo, of 700x500 pixels; no two parts of it are equal."""
    for path in photos.rglob("*.*"):
        path.unlink()
    rows, columns = np.mgrid[:500, :700]
    image = np.stack([rows % 256, columns % 256, (rows * columns // 97) % 256], 2)
    made = Image.fromarray(image.astype(np.uint8))
    made.save(photos / "photo.png")
    return made


@pytest.mark.slow
@pytest.mark.parametrize("size", ["null", "250"])
def test_a_preview_shows_the_middle_of_the_outputs_of_a_run(
    one_batch: Path, photo: Image.Image, sheets: Sheets, size: str
) -> None:
    command = ["config.yaml", "--set", f"batches.all.fast.processing_size={size}"]
    assert main(["preview", command[0], "preview.png", *command[1:]]) == 0
    assert sheets.labels == ["all: fast style.safetensors"]
    before, after = sheets.rows[0]
    assert not Path("out").exists()
    assert main(["run", *command]) == 0
    with Image.open("out/photo.png") as made:
        assert np.array_equal(np.asarray(after, np.int16), middle(made, 384))
    assert np.array_equal(np.asarray(before, np.int16), middle(photo, 384))
    with Image.open("preview.png") as sheet:
        assert 2 * 384 < sheet.width < 4 * 384


def test_rows_of_a_preview_are_as_long_as_the_longest(
    one_batch: Path, photos: Path, sheets: Sheets
) -> None:
    Path("config.yaml").write_text("""
defaults: {fast: {style: style.safetensors}}
batches:
  - {name: all, input: photos, output: out}
  - {name: one, input: photos/a.jpg, output: one}
""")
    assert main(["preview", "config.yaml", "preview.png"]) == 0
    sizes = [[image.size for image in row] for row in sheets.rows]
    assert [len(row) for row in sizes] == [6, 6]
    assert sizes[1][:2] == [(50, 41)] * 2
    assert sizes[1][2:] == [(1, 1)] * 4


def test_a_preview_of_an_optimization_has_few_evaluations(
    one_batch: Path, photo: Image.Image, sheets: Sheets, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo.save("painting.png")
    Path("config.yaml").write_text("""
batches:
  - name: best
    input: photos
    output: out
    method: gatys
    gatys: {style_image: painting.png, iterations: 1000000, levels: 1, size: 125}
""")
    monkeypatch.setattr(gatys, "PREVIEW_EVALUATIONS", 2)
    assert main(["preview", "config.yaml", "preview.png"]) == 0
    before, after = sheets.rows[0][:2]
    assert before.size == after.size == (384, 384)
    assert np.abs(np.asarray(before, np.int16) - np.asarray(after, np.int16)).max() > 3


def test_a_preview_of_an_enlargement_shows_the_same_part_of_both(
    one_batch: Path, photo: Image.Image, sheets: Sheets
) -> None:
    Path("config.yaml").write_text("""
batches: [{name: larger, input: photos, output: out, method: super_resolution}]
""")
    assert main(["preview", "config.yaml", "preview.png"]) == 0
    before, after = sheets.rows[0][:2]
    assert (before.size, after.size) == ((96, 96), (384, 384))
    # The same part of the photo.
    reduced = np.asarray(after.resize((96, 96), Image.Resampling.BOX), np.int16)
    difference = np.abs(reduced - np.asarray(before, np.int16))
    assert np.median(difference) < 12


def test_a_photo_is_never_overwritten(
    one_batch: Path, photo: Image.Image, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preview", "config.yaml", "photos/photo.png"]) == 2
    assert "photos/photo.png is the input" in capsys.readouterr().err
    mount = one_batch / "mount"
    with mounted_again(one_batch / "photos", mount):
        assert main(["preview", "config.yaml", str(mount / "photo.png")]) == 2
        assert f"{mount}/photo.png is the input" in capsys.readouterr().err
    assert main(["preview", "config.yaml", "preview.txt"]) == 2
    assert "the name must end in one of .jpg" in capsys.readouterr().err


@pytest.mark.slow
def test_all_styles_on_a_photo(one_batch: Path, photo: Image.Image, sheets: Sheets) -> None:
    photo.resize((70, 50)).save("small.png")
    assert main(["styles", "--sheet", "styles.jpg", "--photo", "small.png"]) == 0
    shipped = [
        name
        for path in shipped_checkpoints()
        for name in parse_checkpoint(path.read_bytes()).styles
    ]
    assert sheets.labels == ["photo", *shipped]
    pictures = {image.tobytes() for [image] in sheets.rows}
    assert len(pictures) == len(shipped) + 1
    with Image.open("styles.jpg") as sheet:
        assert sheet.height > 114 * len(sheets.rows)


@pytest.mark.slow
def test_without_a_photo_six_are_shown(sheets: Sheets, tmp_path: Path) -> None:
    assert main(["styles", "--sheet", str(tmp_path / "styles.png")]) == 0
    assert {len(row) for row in sheets.rows} == {6}
