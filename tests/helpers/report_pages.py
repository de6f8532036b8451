"""What the tests of reports share: folders as runs leave them, and a page taken apart."""

import random
from collections.abc import Iterable, Sequence
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

from stylebeam.pipeline.archive import ledger
from stylebeam.pipeline.archive.records import Outcome, Status
from stylebeam.pipeline.config.run_config import Batch
from stylebeam.pipeline.report import write_report

BEFORE, AFTER = (200, 30, 30), (30, 30, 200)


class Archive:
    """A folder of photos and one of outputs, in which a run is made up."""

    def __init__(self, folder: Path) -> None:
        self.photos = folder / "photos"
        self.out = folder / "out"
        self.photos.mkdir()

    def batch(self, name: str = "all", **options: object) -> Batch:
        """A batch of these photos."""
        values = {"fast": {"style": "udnie", "strength": 0.5}, **options}
        return Batch(name=name, input=str(self.photos), output=str(self.out), **values)

    def add_pictures(self, name: str, size: tuple[int, int] = (60, 40), scale: int = 1) -> None:
        """Write a photo of one colour and its output of another."""
        for folder, color, factor in ((self.photos, BEFORE, 1), (self.out, AFTER, scale)):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (size[0] * factor, size[1] * factor), color).save(path, quality=95)

    def outcome(
        self,
        name: str,
        status: Status = "done",
        seconds: float = 1.0,
        error: str | None = None,
        batch: str = "all",
    ) -> Outcome:
        """An outcome of a photo."""
        paths = str(self.photos / name), str(self.out / name)
        size = (60, 40) if status == "done" else (None, None)
        return Outcome(batch, *paths, status, "recipe", seconds, *size, error=error)

    def report(self, outcomes: Iterable[Outcome], batches: Sequence[Batch] = ()) -> Path:
        """Record a run and write its report."""
        ledger.write_run(
            str(self.out),
            [
                {
                    **batch.model_dump(mode="json", exclude_none=True),
                    "weights": batch.fast.choose().weights,
                }
                for batch in batches or [self.batch()]
            ],
        )
        ledger.write_outcomes(str(self.out), (outcome.to_json() for outcome in outcomes))
        return Path(write_report(str(self.out)))


class Element:
    """An element of a page, with all the text in it."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag, self.attributes, self.text = tag, attributes, ""


class ParsedPage(HTMLParser):
    """A page's elements, in order."""

    _VOID = ("meta", "link", "img", "input", "br", "wbr", "hr")

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open = [Element("", {})]
        self.feed(page.read_bytes().decode())
        self.close()
        [root] = self._open
        self.text = root.text

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of a kind that have attributes of these values."""
        return [
            element
            for element in self.elements
            if element.tag == tag
            and all(element.attributes.get(key) == value for key, value in attributes.items())
        ]

    def one(self, tag: str, **attributes: str) -> Element:
        """The only such element."""
        [element] = self.all(tag, **attributes)
        return element

    def of_class(self, name: str) -> list[str]:
        """The texts of the elements of a class, with single spaces."""
        return [
            " ".join(element.text.split())
            for element in self.elements
            if name in (element.attributes.get("class") or "").split()
        ]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))
        if tag not in self._VOID:
            self._open.append(self.elements[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        element = self._open.pop()
        assert element.tag == tag, f"<{element.tag}> ends as </{tag}>"
        if tag == "dt":  # Seen on a line of its own.
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data


def shuffled(outcomes: Iterable[Outcome], seed: int) -> list[Outcome]:
    """The outcomes in another order."""
    found = list(outcomes)
    random.Random(seed).shuffle(found)
    return found
