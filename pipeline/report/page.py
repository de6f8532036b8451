"""The page: what is on it, in words and figures, by the template beside this file."""

import base64
import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args
from urllib.parse import quote

import jinja2

from stylebeam.pipeline.archive.records import Method, Outcome, Status
from stylebeam.pipeline.report.overview import Overview
from stylebeam.pipeline.report.pictures import Thumbnail
from stylebeam.pipeline.report.timings import time_images
from stylebeam.pipeline.wording import duration

_HERE = Path(__file__).parent
# Names and reasons come from files, and a page of any number of them has an end.
_LONGEST_TEXT = 300
_LONGEST_TITLE = 80
# They join letters in some scripts, and do nothing else.
_JOINERS = "\u200c\u200d"
_METHODS = get_args(Method)


class Picture(NamedTuple):
    """An image that is shown.

    Attributes:
        outcome: what became of it.
        before: a thumbnail of the input, or the sentence that says why there is none.
        after: likewise of the output.
    """

    outcome: Outcome
    before: Thumbnail | str
    after: Thumbnail | str


def render(
    batches: Sequence[Mapping[str, Any]],
    overviews: Sequence[Overview],
    pictures: Sequence[Picture],
    failures: Sequence[Outcome],
) -> str:
    """Return the page, as HTML that is UTF-8 whatever is in names.

    Args:
        batches: what the config said of each.
        overviews: what became of each, in the same order.
        pictures: those that are shown.
        failures: those that are listed.
    """
    counts: Counter[Status] = sum((each.counts for each in overviews), Counter())
    style, script = (_HERE.joinpath(name).read_text("utf-8") for name in ("style.css", "script.js"))
    return _template().render(
        policy="; ".join(
            (
                "default-src 'none'",
                "img-src data:",
                f"style-src {_source_of(style)}",
                f"script-src {_source_of(script)}",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
        style=style,
        script=script,
        title=_shortened(", ".join(each.name for each in overviews), _LONGEST_TITLE),
        folder=batches[0]["output"],
        batches=[
            {
                "name": overview.name,
                "input": batch["input"],
                "overview": overview,
                "recipe": list(_recipe(batch)),
                "timings": time_images(overview.times) if overview.times else None,
            }
            for batch, overview in zip(batches, overviews, strict=True)
        ],
        places={each.name: place for place, each in enumerate(overviews)},
        counts=counts,
        seconds=sum(each.seconds for each in overviews),
        not_begun=sum((each.not_begun for each in overviews), Counter()),
        with_pictures=sum(len(each.pictures) for each in overviews),
        pictures=pictures,
        failures=failures,
        outputs={batch["name"]: batch["output"] for batch in batches},
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        readable=_readable, counted=_counted, time=_time, link=_link, named=_named
    )
    return environment.get_template("template.html")


def _source_of(text: str) -> str:
    """Return how a Content-Security-Policy names a script or a style: by its hash."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _recipe(batch: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the keys of a batch that count for its method, as in a config, and their values."""
    method = batch["method"]
    begins_fast = method == "gatys" and batch["gatys"]["init"] == "fast"
    for key, value in batch.items():
        if key not in (*_METHODS, "name"):
            yield key, _plain(value)
        elif key == method or (key == "fast" and begins_fast):
            for option, chosen in value.items():
                yield f"{key}.{option}", _plain(chosen)


def _plain(value: Any) -> str:
    """Return a value of a config as a person would say it."""
    if isinstance(value, Mapping):
        if list(value.values()) == [1]:
            return str(next(iter(value)))
        return ", ".join(f"{_plain(part)} {name}" for name, part in value.items()) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _readable(text: str) -> str:
    """Return a text from outside as one that can be shown: short, and with no hidden signs.

    Bytes that are no text, signs that turn the direction of writing and the like are shown by
    their numbers.
    """
    shown = (sign if _is_shown(sign) else sign.encode("unicode_escape").decode() for sign in text)
    return _shortened("".join(shown), _LONGEST_TEXT)


def _is_shown(sign: str) -> bool:
    """Whether a sign is visible, a space of any width, or joins its neighbours."""
    return sign.isprintable() or sign in _JOINERS or unicodedata.category(sign) == "Zs"


def _shortened(text: str, most: int) -> str:
    """Return a text without its middle, if it has more signs."""
    return text if len(text) <= most else f"{text[: most // 2]}…{text[1 - most // 2 :]}"


def _named(path: str) -> tuple[str, str]:
    """Return the folder of a path or URI, with its slash, and the file's name."""
    folder, slash, name = path.rpartition("/")
    return folder + slash, name


def _link(outcome: Outcome, output: str) -> str:
    """Return where an output is as seen from the page.

    Args:
        outcome: of the image.
        output: the batch's output folder.
    """
    relative = outcome.output.removeprefix(output).lstrip("/")
    return "../" + quote(relative, errors="surrogateescape")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _time(seconds: float) -> str:
    """Return a time on one line, a short one with decimals."""
    text = f"{seconds:.3g} s" if seconds < 60 else duration(seconds)
    return text.replace(" ", "\N{NO-BREAK SPACE}")
