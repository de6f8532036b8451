"""The expected outputs of the config with two batches in tests of the command."""

from pathlib import Path

from PIL import Image

from stylebeam.pipeline.archive.ledger import read_outcomes

SIZES = {"a.jpg": (50, 41), "b.png": (33, 64), "below/c.jpeg": (64, 48)}
"""Size of each photo."""


def image_sizes(folder: str) -> dict[str, tuple[int, int]]:
    """Return the sizes of the images in a folder; its other files must belong to the record."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        relative = str(path.relative_to(folder))
        if path.is_file() and not relative.startswith("_stylebeam/"):
            with Image.open(path) as image:
                found[relative] = image.size
    return found


def check_outputs() -> None:
    """Check the images and the outcomes of both batches."""
    assert image_sizes("out/all") == SIZES
    assert image_sizes("out/jpegs") == {"a.webp": (50, 41)}
    outcomes = [*read_outcomes("out/all"), *read_outcomes("out/jpegs")]
    assert sorted((outcome.batch, outcome.input, outcome.status) for outcome in outcomes) == [
        ("all", "photos/a.jpg", "done"),
        ("all", "photos/b.png", "done"),
        ("all", "photos/below/c.jpeg", "done"),
        ("jpegs", "photos/a.jpg", "done"),
    ]
    for outcome in outcomes:
        with Image.open(outcome.output) as image:
            assert image.size == (outcome.width, outcome.height)
