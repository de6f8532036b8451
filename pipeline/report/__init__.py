"""The report of a run: one HTML page for each output folder.

`overview.py` summarizes the outcomes, `pictures.py` makes thumbnails of some of them, `timings.py`
computes a histogram, and `page.py` renders the page with `template.html`, `style.css` and
`script.js`.
"""

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import ledger
from stylebeam.pipeline.report.overview import summarize
from stylebeam.pipeline.report.page import Picture, render
from stylebeam.pipeline.report.pictures import read_thumbnails
from stylebeam.pipeline.report.sampling import fair_shares, spread
from stylebeam.transforms.images.formats import DEFAULT_MAX_PIXELS

_MAX_PICTURES = 200
# Fewer, because each remote picture means downloading two whole files.
_MAX_REMOTE_PICTURES = 40
_MAX_FAILURES = 1000


def write_report(folder: str, max_pixels: int = DEFAULT_MAX_PIXELS) -> str:
    """Write the report of the run recorded in an output folder and return its path or URI.

    If the run found nothing to do, an existing report is kept: it shows what was last done.

    The page is self-contained, thumbnails included: it makes no network requests. It has at most
    20 MB, however many images the run has. The same record and the same images give the same page.

    Args:
        folder: output folder, a path or URI.
        max_pixels: images with more pixels get no thumbnail.

    Raises:
        StorageError: the record cannot be read or the report cannot be written. (If an image
            cannot be read, the page says so in its place.)
    """
    batches = ledger.read_run(folder)
    overviews = summarize((batch["name"] for batch in batches), ledger.read_outcomes(folder))
    path = ledger.report_path(folder)
    if all(overview.was_up_to_date for overview in overviews) and _is_readable(path):
        return path
    max_pictures = _MAX_REMOTE_PICTURES if storage.is_remote(folder) else _MAX_PICTURES
    chosen = [
        {*spread(overview.pictures, pictures), *spread(overview.failures, failures)}
        for overview, pictures, failures in zip(
            overviews,
            fair_shares([len(overview.pictures) for overview in overviews], max_pictures),
            fair_shares([len(overview.failures) for overview in overviews], _MAX_FAILURES),
            strict=True,
        )
    ]
    # The outcomes are read a second time: all of them may not fit into memory.
    indices = {overview.name: index for index, overview in enumerate(overviews)}
    outcomes = sorted(
        (
            outcome
            for outcome in ledger.read_outcomes(folder)
            if outcome.batch in indices and outcome.input in chosen[indices[outcome.batch]]
        ),
        key=lambda outcome: (indices[outcome.batch], outcome.input),
    )
    failures = [outcome for outcome in outcomes if outcome.status == "failed"]
    shown = [outcome for outcome in outcomes if outcome.status != "failed"]
    thumbnails = read_thumbnails(
        (path for outcome in shown for path in (outcome.input, outcome.output)), max_pixels
    )
    pictures = list(map(Picture, shown, thumbnails[::2], thumbnails[1::2]))
    page = render(batches, overviews, pictures, failures)
    storage.write(path, page.encode(), "text/html; charset=utf-8")
    return path


def _is_readable(path: str) -> bool:
    try:
        storage.read(path)
    except storage.StorageError:
        return False
    return True
