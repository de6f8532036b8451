"""Renders the page from `template.html`, `style.css` and `script.js`."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import jinja2

from stylebeam.pipeline.archive.passed_over import PassedOver
from stylebeam.pipeline.archive.records import Outcome, Status
from stylebeam.pipeline.report.overview import Overview
from stylebeam.pipeline.report.pictures import Thumbnail
from stylebeam.pipeline.report.timings import compute_timings
from stylebeam.pipeline.terminal import visible
from stylebeam.pipeline.wording import counted, duration

_HERE = Path(__file__).parent
# Names and reasons come from files and can have any length. The size of the page is bounded.
_MAX_TEXT_LENGTH = 300
_MAX_TITLE_LENGTH = 80
# Invisible, but needed: the zero-width joiner and non-joiner connect or separate letters in some
# scripts.


class Picture(NamedTuple):
    """An image on the page, before and after.

    Attributes:
        outcome: outcome of the image.
        before: thumbnail of the input, or a sentence that says why there is none.
        after: thumbnail of the output, or a sentence that says why there is none.
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
    """Return the page as HTML that can be encoded as UTF-8, whatever the names contain.

    Args:
        batches: each batch as `run.json` records it. The page names no method: it shows a batch's
            plain keys and, of the keys that are mappings (options of methods), only the one named
            by `method` and those listed in the optional `sections`.
        overviews: overview of each batch, in the same order.
        pictures: images to show.
        failures: failed outcomes to list.
    """
    counts: Counter[Status] = sum((overview.counts for overview in overviews), Counter())
    style, script = (_HERE.joinpath(name).read_text("utf-8") for name in ("style.css", "script.js"))
    return _template().render(
        policy="; ".join(
            (
                "default-src 'none'",
                "img-src data:",
                f"style-src {_csp_source(style)}",
                f"script-src {_csp_source(script)}",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
        style=style,
        script=script,
        title=_shortened(", ".join(overview.name for overview in overviews), _MAX_TITLE_LENGTH),
        folder=batches[0]["output"],
        batches=[
            {
                "name": overview.name,
                "input": batch["input"],
                "overview": overview,
                "passed_over": str(PassedOver.from_json(batch)),
                "recipe": list(_recipe(batch)),
                "timings": compute_timings(overview.times) if overview.times else None,
            }
            for batch, overview in zip(batches, overviews, strict=True)
        ],
        indices={overview.name: index for index, overview in enumerate(overviews)},
        counts=counts,
        seconds=sum(overview.seconds for overview in overviews),
        not_started=sum((overview.not_started for overview in overviews), Counter()),
        with_pictures=sum(len(overview.pictures) for overview in overviews),
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
        readable=_readable, counted=counted, time=_time, link=_link, named=_named
    )
    return environment.get_template("template.html")


def _csp_source(text: str) -> str:
    """Return the hash by which a Content-Security-Policy allows an inline script or style."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _recipe(batch: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the keys of a batch that its method uses, as in a config, and their values."""
    sections = {batch["method"], *batch.get("sections", ())}
    for key, value in batch.items():
        if key in ("name", "sections"):
            continue
        if not isinstance(value, Mapping):
            # An empty list, such as no excluded folders, says nothing.
            if value != []:
                yield key, _plain(value)
        elif key in sections:
            for option, chosen in value.items():
                yield f"{key}.{option}", _plain(chosen)


def _plain(value: Any) -> str:
    """Return a value of a config in words."""
    if isinstance(value, Mapping):
        if list(value.values()) == [1]:
            return str(next(iter(value)))
        return ", ".join(f"{_plain(part)} {name}" for name, part in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _readable(text: str) -> str:
    """Return external text in a form that is safe to show: short, without invisible characters.

    Bytes that are not valid text, characters that change the writing direction and the like are
    shown as escape sequences.
    """
    return _shortened(visible(text), _MAX_TEXT_LENGTH)


def _shortened(text: str, length: int) -> str:
    """Return a text with its middle left out if it is longer than a length."""
    return text if len(text) <= length else f"{text[: length // 2]}…{text[1 - length // 2 :]}"


def _named(path: str) -> tuple[str, str]:
    """Return the folder of a path or URI, with a slash at the end, and the file's name."""
    folder, slash, name = path.rpartition("/")
    return folder + slash, name


def _link(outcome: Outcome, output: str) -> str:
    """Return the URL of an output relative to the page.

    Args:
        outcome: outcome of the image.
        output: output folder of the batch.
    """
    relative = outcome.output.removeprefix(output).lstrip("/")
    return "../" + quote(relative, errors="surrogateescape")


def _time(seconds: float) -> str:
    """Return a time that does not wrap; below a minute with decimals."""
    text = f"{seconds:.3g} s" if seconds < 60 else duration(seconds)
    return text.replace(" ", "\N{NO-BREAK SPACE}")
