"""The size of the page is bounded, whatever the number and the size of the images."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from stylebeam.pipeline.report import write_report
from stylebeam.pipeline.report.pictures import read_thumbnails
from tests.helpers.report_pages import Archive, ParsedPage, shuffled

MAX_PAGE_SIZE = 20e6


def test_at_most_two_hundred_pictures_are_shown(archive: Archive) -> None:
    archive.add_pictures("a.jpg")
    picture = archive.outcome("a.jpg")
    many = [archive.outcome(f"{number:04}.jpg") for number in range(5000)]
    for outcome in many:
        for path in (outcome.input, outcome.output):
            os.link(picture.input, path)
    report = archive.report(shuffled(many, seed=1))
    page = ParsedPage(report)
    assert "200 of 5,000 pictures are shown, evenly spaced." in page.text
    shown = [int(Path(name).stem) for name in page.of_class("name") if name[-8:-4].isdigit()]
    assert shown[:200] == list(range(0, 5000, 25))
    assert len(page.all("input", type="range")) == 200
    assert report.stat().st_size < MAX_PAGE_SIZE
    # The page depends neither on the order of the outcomes nor on the time of day.
    assert archive.report(shuffled(many, seed=2)).read_bytes() == report.read_bytes()


def test_the_size_of_a_page_is_bounded(archive: Archive) -> None:
    # Names and reasons of the greatest length and more, of characters that HTML escapes with five.
    name, reason = '"' * 255, "'" * 5000
    folder = "/".join([name] * 14)
    outcomes = [archive.outcome(f"{folder}/{name}{number}.jpg") for number in range(300)]
    outcomes += [
        archive.outcome(f"{folder}/{name}{number}", "failed", error=reason)
        for number in range(2000)
    ]
    without_pictures = archive.report(outcomes).stat().st_size
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    Image.fromarray(noise).save(archive.photos / "noise.png")
    [thumbnail] = read_thumbnails([str(archive.photos / "noise.png")], 10**6)
    assert not isinstance(thumbnail, str)
    assert len(thumbnail.address) > 10_000
    assert without_pictures + 400 * len(thumbnail.address) < MAX_PAGE_SIZE
    assert len(thumbnail.address) < 33_000


def test_at_most_a_thousand_failures_are_listed(archive: Archive) -> None:
    outcomes = [
        archive.outcome(f"{number:04}.jpg", "failed", error=f"Reason {number}.")
        for number in range(1500)
    ]
    page = ParsedPage(archive.report(outcomes))
    assert page.of_class("bad") == ["failed 1,500"]
    reasons = page.of_class("reason")
    assert len(reasons) == 1000
    assert reasons[0] == "Reason 0."
    assert "1,000 of 1,500 failures are listed" in page.text
    assert page.all("a", href="outcomes.jsonl")


def test_images_that_are_too_large_get_no_thumbnail(archive: Archive) -> None:
    archive.add_pictures("a.jpg", (60, 40), scale=2)
    archive.report([archive.outcome("a.jpg")])
    page = ParsedPage(Path(write_report(str(archive.out), max_pixels=60 * 40)))
    [reason] = page.of_class("missing")
    assert "The output cannot be shown. The image has 120x80 pixels" in reason
