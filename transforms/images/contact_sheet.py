"""Contact sheets: images side by side in labeled rows and columns."""

import bisect
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

_LARGEST_SIDE = 12_000
_SMALLEST_IMAGE = 160
_SMALLEST_CELL = 64
_SMALLEST_FONT = 14
_CELL_PER_FONT = 16
_TITLE_LINES, _COLUMN_LABEL_LINES = 3, 3
_LABEL, _FAILED, _FAILED_GROUND = "black", "#900000", "#eeeeee"

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def largest_cell(rows: int, columns: int) -> tuple[int, int]:
    """Return the largest size that the cells of a sheet may have.

    Args:
        rows: number of rows of cells.
        columns: number of columns of cells.

    Returns:
        The width and height in pixels for which the sheet is at most 12,000 pixels wide and high.
        With more than 150 rows or columns it is larger, because a cell has at least 64 pixels.
    """
    width, height = (
        # The labels need at most the size of one cell, the gaps a sixteenth and a few pixels.
        max(_SMALLEST_CELL, _LARGEST_SIDE // (count + 1) * 15 // 16 - 8)
        for count in (columns, rows)
    )
    return width, height


def contact_sheet(
    rows: Sequence[Sequence[Image.Image | None]],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    title: str,
) -> Image.Image:
    """Return images in a grid on white, with labels above the columns and left of the rows.

    All cells have the size of the largest image, at most `largest_cell`. Images of other sizes are
    resized to fit. Small images are enlarged to 160 pixels, so that labels have room.

    Args:
        rows: the images of each row, the same number in each; None for an image that failed, shown
            as such. Transparent images are laid over white.
        row_labels: one label per row. Long labels are wrapped, and if necessary shortened in the
            middle. Pillow's built-in font only has ASCII; other characters are shown as boxes.
        column_labels: one label per column.
        title: shown above the grid.

    Returns:
        The sheet, in RGB.
    """
    width, height = _cell_size(rows)
    font = ImageFont.load_default(max(_SMALLEST_FONT, min(width, height) // _CELL_PER_FONT))
    line = _line_height(font)
    gap = line // 2

    beside = [_fitted(label, font, width, height // line) for label in row_labels]
    above = [_fitted(label, font, width, _COLUMN_LABEL_LINES) for label in column_labels]
    label_width = max(_width(text, font) for lines in beside for text in ["", *lines])
    left = gap + label_width + (gap if label_width else 0)
    sheet_width = left + len(column_labels) * (width + gap)
    heading = _fitted(title, font, sheet_width - 2 * gap, _TITLE_LINES)
    top = gap + (len(heading) + max(map(len, above))) * line + gap
    sheet_height = top + len(rows) * (height + gap)

    sheet = Image.new("RGB", (sheet_width, sheet_height), "white")
    draw = ImageDraw.Draw(sheet)
    _write(draw, heading, (gap, gap), font, "la")
    for column, lines in enumerate(above):
        middle = left + column * (width + gap) + width // 2
        _write(draw, lines, (middle, top - gap // 2 - len(lines) * line), font, "ma")
    for row, lines in enumerate(beside):
        y = top + row * (height + gap)
        _write(draw, lines, (gap, y + (height - len(lines) * line) // 2), font, "la")
        for column, image in enumerate(rows[row]):
            x = left + column * (width + gap)
            if image is None:
                draw.rectangle((x, y, x + width - 1, y + height - 1), _FAILED_GROUND)
                center = x + width // 2, y + (height - line) // 2
                _write(draw, ["failed"], center, font, "ma", _FAILED)
            else:
                _paste(sheet, image, (x, y), (width, height))
    return sheet


def _cell_size(rows: Sequence[Sequence[Image.Image | None]]) -> tuple[int, int]:
    """Return the width and height of every cell."""
    sizes = [image.size for row in rows for image in row if image is not None]
    width, height = map(max, zip(*sizes or [(_SMALLEST_IMAGE, _SMALLEST_IMAGE)], strict=True))
    largest_width, largest_height = largest_cell(len(rows), len(rows[0]))
    scale = min(
        max(1, _SMALLEST_IMAGE / max(width, height)), largest_width / width, largest_height / height
    )
    return max(_SMALLEST_CELL, round(width * scale)), max(_SMALLEST_CELL, round(height * scale))


def _paste(
    sheet: Image.Image, image: Image.Image, position: tuple[int, int], cell: tuple[int, int]
) -> None:
    """Paste an image into the center of a cell, as large as fits; position is its top left."""
    fitted = ImageOps.contain(image.convert("RGBA"), cell, Image.Resampling.LANCZOS)
    x, y = (
        start + (outer - inner) // 2
        for start, outer, inner in zip(position, cell, fitted.size, strict=True)
    )
    sheet.paste(fitted, (x, y), fitted)


def _fitted(text: str, font: _Font, width: int, most: int) -> list[str]:
    """Wrap a text into at most `most` lines; a text that is too long loses its middle."""
    text = "".join(char if char.isprintable() else "?" for char in text)
    whole = _wrapped(text, font, width, most)
    if len(whole) <= most:
        return whole

    def shortened(kept: int) -> list[str]:
        # The ends of paths and styles tell them apart.
        start, end = text[: (kept + 1) // 2], text[len(text) - kept // 2 :]
        return _wrapped(f"{start}…{end}", font, width, most)

    too_long = bisect.bisect(range(len(text)), most, key=lambda kept: len(shortened(kept)))
    return shortened(max(0, too_long - 1))


def _wrapped(text: str, font: _Font, width: int, most: int) -> list[str]:
    """Wrap a text into lines of at most `width` pixels, if possible after a space or punctuation.

    At most `most` + 1 lines are returned, so that callers see that a text is too long.
    """
    lines: list[str] = []
    while text and len(lines) <= most:
        fits = bisect.bisect(
            range(1, len(text) + 1), width, key=lambda count: _width(text[:count], font)
        )
        if fits < len(text):
            fits = max(text.rfind(mark, 0, fits) for mark in " _-/,") + 1 or max(1, fits)
        lines.append(text[:fits].rstrip())
        text = text[fits:].lstrip()
    return lines


def _width(text: str, font: _Font) -> int:
    return math.ceil(font.getlength(text))


def _line_height(font: _Font) -> int:
    _, _, _, bottom = font.getbbox("g")
    return round(bottom * 1.1)


def _write(
    draw: ImageDraw.ImageDraw,
    lines: Sequence[str],
    position: tuple[int, int],
    font: _Font,
    anchor: str,
    color: str = _LABEL,
) -> None:
    """Write lines below each other; position is the anchor of the first line."""
    x, y = position
    for number, text in enumerate(lines):
        draw.text((x, y + number * _line_height(font)), text, color, font, anchor)
