"""What a person looks at after a run: one page for each output folder.

`overview.py` sums the outcomes up, `pictures.py` makes thumbnails of a few of them, `timings.py` a
histogram, and `page.py` the page of it all, by `template.html`, `style.css` and `script.js`.
"""

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import ledger
from stylebeam.pipeline.report.overview import sum_up
from stylebeam.pipeline.report.page import Picture, render
from stylebeam.pipeline.report.pictures import read_thumbnails
from stylebeam.pipeline.runs.sampling import fair_shares, spread
from stylebeam.transforms.images.formats import DEFAULT_MAX_PIXELS

_MOST_PICTURES = 200
# Each is two whole files to download.
_MOST_PICTURES_OF_REMOTE_FILES = 40
_MOST_FAILURES = 1000


def write_report(folder: str, max_pixels: int = DEFAULT_MAX_PIXELS) -> str:
    """Write the report on what a run recorded in an output folder, and return its path or URI.

    A run that found nothing to do leaves the report that is there, which shows what was last done.

    The page stands alone: it has everything in it, thumbnails too, asks no network for anything,
    and has at most 20 MB, however many the images are. The same record and the same images make
    the same page.

    Args:
        folder: the output folder, a path or URI.
        max_pixels: larger images are not opened for a thumbnail.

    Raises:
        StorageError: the record cannot be read, or the report not be written. (An image that
            cannot be read is said to be so on the page.)
    """
    batches = ledger.read_run(folder)
    overviews = sum_up((batch["name"] for batch in batches), ledger.read_outcomes(folder))
    path = ledger.report_path(folder)
    if all(overview.was_up_to_date for overview in overviews) and _is_there(path):
        return path
    most = _MOST_PICTURES_OF_REMOTE_FILES if storage.is_remote(folder) else _MOST_PICTURES
    chosen = [
        {*spread(overview.pictures, pictures), *spread(overview.failures, failures)}
        for overview, pictures, failures in zip(
            overviews,
            fair_shares([len(overview.pictures) for overview in overviews], most),
            fair_shares([len(overview.failures) for overview in overviews], _MOST_FAILURES),
            strict=True,
        )
    ]
    # Read a second time, for all of them at once may not fit into memory.
    places = {overview.name: place for place, overview in enumerate(overviews)}
    outcomes = sorted(
        (each for each in ledger.read_outcomes(folder) if each.input in chosen[places[each.batch]]),
        key=lambda outcome: (places[outcome.batch], outcome.input),
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


def _is_there(path: str) -> bool:
    try:
        storage.read(path)
    except storage.StorageError:
        # Whatever keeps it from being read, it is written anew.
        return False
    return True
