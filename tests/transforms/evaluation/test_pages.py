"""Pages of pictures."""

from pathlib import Path

import torch
from PIL import Image

from stylebeam.transforms.evaluation.candidates import Candidate
from stylebeam.transforms.evaluation.pages import cell, pages


def test_a_cell_is_a_small_image() -> None:
    assert cell(torch.zeros(3, 600, 400, dtype=torch.uint8)).size == (192, 288)
    assert cell(torch.zeros(3, 50, 40, dtype=torch.uint8)).size == (40, 50)


def test_many_styles_are_paged_and_rows_of_a_painting_are_together(tmp_path: Path) -> None:
    photo = Path("photo.jpg")
    rows = []
    for group, color in (("a", "red"), ("b", "blue")):
        for name in range(6):
            path = tmp_path / f"{name}.png"
            Image.new("RGB", (384, 288), "gray").save(path)
            candidate = Candidate(group, f"{group}: {name}", lambda _: None, lambda *_: {}, path)
            rows.append((candidate, {photo: Image.new("RGB", (384, 288), color)}))
    first, second = pages({photo: Image.new("RGB", (384, 288), "green")}, rows)
    # The photo and ten styles, then the photo and two styles.
    assert first.height > 11 * 288 > 4 * 288 > second.height > 3 * 288
    x = second.width - 100
    colors = [second.getpixel((x, y)) for y in range(0, second.height, 50)]
    seen = list(dict.fromkeys(color for color in colors if color != (255, 255, 255)))
    assert seen == [(0, 128, 0), (255, 0, 0), (0, 0, 255)]


def test_a_picture_may_be_missing() -> None:
    candidate = Candidate("a", "a", lambda _: None, lambda *_: {})
    photo = Path("photo.jpg")
    [page] = pages({photo: Image.new("RGB", (384, 288), "green")}, [(candidate, {})])
    assert page.height > 2 * 288
