"""Contact sheets, pixel by pixel."""

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from stylebeam.transforms.images.contact_sheet import contact_sheet, largest_cell

# Colors that labels do not have, so that cells can be found by their color.
COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255), (0, 255, 255), (255, 255, 0))
LONG = "{/home/somebody/paintings/the_great_wave.safetensors: 0.25, composition_vii: 0.75} "


def constant(number: int, size: tuple[int, int] = (200, 170)) -> Image.Image:
    return Image.new("RGB", size, COLORS[number])


def boxes(sheet: Image.Image, count: int) -> list[tuple[int, int, int, int]]:
    """Return the boxes (x0, y0, x1, y1) of the first `count` colors, which must fill them."""
    pixels = np.asarray(sheet)
    found = []
    for color in COLORS[:count]:
        rows, columns = np.nonzero((pixels == color).all(axis=2))
        box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert len(rows) == (box[2] - box[0]) * (box[3] - box[1])
        found.append(tuple(map(int, box)))
    return found


def has_text(sheet: Image.Image, box: Sequence[int]) -> bool:
    return sheet.crop(tuple(box)).convert("L").getextrema()[0] < 128


def is_white(sheet: Image.Image, box: Sequence[int]) -> bool:
    return sheet.crop(tuple(box)).getextrema() == ((255, 255),) * 3


def grid(sizes: tuple[int, int] = (200, 170)) -> list[list[Image.Image]]:
    """Return two rows of three images."""
    return [[constant(3 * row + column, sizes) for column in range(3)] for row in range(2)]


@pytest.mark.parametrize("label", ["0.5", LONG * 5, "without_a_space" * 50, "", "\n\udcff é 漢 \0"])
def test_positions_of_images_and_labels(label: str) -> None:
    sheet = contact_sheet(grid(), [label, "b"], ["c", label, label], label)
    cells = boxes(sheet, 6)
    assert {(x1 - x0, y1 - y0) for x0, y0, x1, y1 in cells} == {(200, 170)}
    lefts, tops = sorted({box[0] for box in cells}), sorted({box[1] for box in cells})
    assert [(box[0], box[1]) for box in cells] == [(x, y) for y in tops for x in lefts]
    assert (len(lefts), len(tops)) == (3, 2)
    for x in lefts:
        heading = (x, max(0, tops[0] - 90), x + 200, tops[0])
        assert has_text(sheet, heading) == bool(label or x == lefts[0])
        if x != lefts[0]:
            assert is_white(sheet, (x - 8, tops[0] - 20, x, tops[0]))
    for y in tops:
        assert has_text(sheet, (0, y, lefts[0], y + 170)) == bool(label or y == tops[1])
        assert is_white(sheet, (lefts[0] - 8, y, lefts[0], y + 170))
    assert is_white(sheet, (0, tops[1] - 8, sheet.width, tops[1]))
    for edge in ((0, 0, sheet.width, 3), (0, 0, 3, sheet.height)):
        assert is_white(sheet, edge)


def test_shortened_labels_keep_their_ends() -> None:
    sheet = contact_sheet([[constant(0), constant(1)]], [""], [f"{LONG * 5}1", f"{LONG * 5}2"], "")
    (first, top, *_), (second, *_) = boxes(sheet, 2)
    labels = [sheet.crop((x, 0, x + 200, top)) for x in (first, second)]
    assert labels[0].tobytes() != labels[1].tobytes()


def test_without_row_labels_cells_start_at_the_margin() -> None:
    sheet = contact_sheet([[constant(0)]], [""], ["c"], "")
    [(left, _, right, _)] = boxes(sheet, 1)
    assert left == sheet.width - right < 20


def test_a_failed_cell_has_a_label_and_the_size_of_the_others() -> None:
    sheet = contact_sheet([[constant(0), None, constant(1)]], ["a"], ["b", "c", "d"], "t")
    (_, top, right, bottom), (left, *_) = boxes(sheet, 2)
    gap = (left - right - 200) // 2
    cell = (right + gap, top, left - gap, bottom)
    assert has_text(sheet, cell)
    assert sheet.getpixel((cell[0], top)) == sheet.getpixel((cell[2] - 1, bottom - 1)) != (255,) * 3


def test_a_sheet_may_have_only_failed_cells() -> None:
    sheet = contact_sheet([[None, None]], ["a"], ["b", "c"], "t")
    assert sheet.width > 2 * 160
    assert sheet.height > 160


def test_the_font_size_grows_with_the_images() -> None:
    def height_of_label(size: int) -> int:
        sheet = contact_sheet([[constant(0, (size, size))]], [""], ["H"], "")
        [(left, top, right, _)] = boxes(sheet, 1)
        label = np.asarray(sheet.crop((left, 0, right, top)).convert("L"))
        return int(np.ptp(np.nonzero(label.min(axis=1) < 128)[0])) + 1

    assert 8 <= height_of_label(20) == height_of_label(200) < 14
    assert height_of_label(1600) > 60


def test_an_image_of_another_size_is_resized_to_its_cell() -> None:
    sheet = contact_sheet([[constant(0, (400, 200)), constant(1, (50, 50))]], [""], ["a", "b"], "")
    large, small = boxes(sheet, 2)
    assert (small[2] - small[0], small[3] - small[1]) == (200, 200)
    assert small[1::2] == large[1::2]
    assert small[0] - large[2] - 100 == sheet.width - small[2] - 100 > 0


@pytest.mark.parametrize(
    ("rows", "columns", "size"),
    [(1, 4, (6000, 3)), (4, 1, (3, 6000)), (1, 150, (90, 60)), (150, 1, (60, 90)), (1, 1, (9, 9))],
)
def test_a_sheet_respects_its_limit(rows: int, columns: int, size: tuple[int, int]) -> None:
    images = [[constant(0, size)] * columns] * rows
    sheet = contact_sheet(images, [LONG] * rows, [LONG] * columns, LONG)
    assert max(sheet.size) <= 12_000
    # It is not much smaller than allowed.
    assert max(sheet.size) > 9_000 or max(size) < 10


def test_images_too_large_for_a_sheet_keep_their_aspect_ratio() -> None:
    sheet = contact_sheet(
        [[constant(number, (4000, 400)) for number in range(4)]], [""], ["a"] * 4, ""
    )
    width, height = largest_cell(1, 4)
    assert width < 4000 < height
    cells = {(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes(sheet, 4)}
    assert cells == {(10 * (width // 10), width // 10)}


def test_transparent_images_are_laid_over_white() -> None:
    half = constant(0).copy()
    half.putalpha(Image.new("L", half.size, 128))
    clear = constant(1).copy()
    clear.putalpha(0)
    sheet = contact_sheet([[half, clear, constant(2)]], [""], ["a", "b", "c"], "")
    colors = {color for _, color in sheet.crop((0, 60, *sheet.size)).getcolors(maxcolors=99)}
    assert COLORS[1] not in colors
    assert (255, 127, 127) in colors
