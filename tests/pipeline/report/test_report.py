"""Reports: what is on the page of a run, whatever the run was."""

import base64
import hashlib
import io
import os
import re
import tracemalloc
from array import array
from pathlib import Path

import numpy as np
import pytest
from google.cloud import storage as gcs
from PIL import Image
from report_pages import Archive, ParsedPage, shuffled

from stylebeam.pipeline.archive.records import Outcome
from stylebeam.pipeline.report import write_report
from stylebeam.pipeline.report.overview import sum_up
from stylebeam.pipeline.report.pictures import read_thumbnails
from stylebeam.pipeline.report.timings import time_images
from stylebeam.pipeline.runs.sampling import fair_shares, spread

SCRIPT = "<script>alert(1)</script>.jpg"
NO_TEXT = os.fsdecode(b"caf\xe9.jpg")
SIZE = "60 \N{MULTIPLICATION SIGN} 40"
LARGEST_PAGE = 20e6


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def decoded(address: str | None) -> Image.Image:
    """The image in a data URI."""
    kind, data = str(address).split(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_page_accounts_for_every_image(archive: Archive) -> None:
    for name in ("a.jpg", "below/b.png", "old.jpg"):
        archive.add_pictures(name)
    page = ParsedPage(
        archive.report(
            [
                archive.outcome("below/b.png", seconds=2.5),
                archive.outcome("a.jpg", seconds=61.25),
                archive.outcome("old.jpg", "skipped", seconds=0),
                archive.outcome("broken.jpg", "failed", 0.25, "The file is empty (0 bytes)."),
            ]
        )
    )
    assert page.of_class("counts") == ["done 2 skipped 1 failed 1 of work 1 min 4 s"]
    assert page.of_class("entry") == [
        f"{archive.photos}/broken.jpg The file is empty (0 bytes).",
        f"Before After {archive.photos}/a.jpg {SIZE} · 1 min 1 s",
        f"Before After {archive.photos}/below/b.png {SIZE} · 2.5 s",
        f"Before After {archive.photos}/old.jpg was up to date",
    ]
    links = [element.attributes["href"] for element in page.all("a")]
    assert links[links.index("../a.jpg") :][:3] == ["../a.jpg", "../below/b.png", "../old.jpg"]
    assert {"outcomes.jsonl", "run.json"} < set(links)
    assert len(page.all("input", type="range")) == 3


def test_a_picture_is_before_and_after(archive: Archive) -> None:
    archive.add_pictures("a.png", (1200, 800), scale=2)
    page = ParsedPage(archive.report([archive.outcome("a.png")]))
    before, after = page.all("img")
    assert (before.attributes["alt"], after.attributes["alt"]) == ("Before: a.png", "After: a.png")
    for element, (red, blue) in ((before, (200, 30)), (after, (30, 200))):
        image = decoded(element.attributes["src"])
        assert image.size == (400, 267)
        assert (element.attributes["width"], element.attributes["height"]) == ("400", "267")
        shown = image.convert("RGB").getpixel((200, 100))
        assert (shown[0], shown[2]) == pytest.approx((red, blue), abs=12)


def test_transparency_is_laid_over_white(archive: Archive) -> None:
    archive.add_pictures("a.png")
    Image.new("RGBA", (60, 40), (0, 0, 0, 0)).save(archive.out / "a.png")
    page = ParsedPage(archive.report([archive.outcome("a.png")]))
    after = decoded(page.all("img")[1].attributes["src"])
    assert after.mode == "RGB"
    assert min(after.getpixel((30, 20))) > 250


def test_names_are_just_names(archive: Archive) -> None:
    names = [SCRIPT, '"onload="alert(1).jpg', "{{ 1 + 1 }} & <b>.jpg", "'><img src=x>.jpg"]
    for name in names:
        archive.add_pictures(name)
    error = "It says </script><script>alert(2)</script> and <!--."
    outcomes = [archive.outcome(name, batch=SCRIPT) for name in names]
    outcomes.append(archive.outcome(f"failed{SCRIPT}", "failed", error=error, batch=SCRIPT))
    page = ParsedPage(archive.report(outcomes, [archive.batch(SCRIPT)]))
    page.one("script")
    assert page.one("h1").text == SCRIPT
    assert page.of_class("reason") == [error]
    shown = page.of_class("name")
    assert {f"{archive.photos}/{name}" for name in names} < set(shown)
    assert not page.all("b")
    assert not [key for each in page.elements for key in each.attributes if key.startswith("on")]
    assert len(page.all("img")) == 2 * len(names)
    for image in page.all("img"):
        assert decoded(image.attributes["src"]).size == (60, 40)


def test_names_that_are_no_text(archive: Archive) -> None:
    turned, narrow_space = "gpj.\u202egnp.jpg", "at 9.41\u202fAM.jpg"
    for name in (NO_TEXT, turned, narrow_space):
        archive.add_pictures(name)
    outcomes = [archive.outcome(name) for name in (NO_TEXT, turned, narrow_space)]
    outcomes.append(archive.outcome(f"no{NO_TEXT}", "failed", error=f"{NO_TEXT} is\nempty."))
    page = ParsedPage(archive.report(outcomes))
    assert page.of_class("reason") == [r"caf\udce9.jpg is\nempty."]
    assert f"{archive.photos}/caf\\udce9.jpg" in page.of_class("name")
    assert f"{archive.photos}/gpj.\\u202egnp.jpg" in page.of_class("name")
    assert f"{archive.photos}/at 9.41 AM.jpg" in page.of_class("name")
    assert page.all("a", href="../caf%E9.jpg")
    assert len(page.all("img")) == 6


def test_two_hundred_of_very_many_are_shown(archive: Archive) -> None:
    archive.add_pictures("a.jpg")
    picture = archive.outcome("a.jpg")
    many = [archive.outcome(f"{number:04}.jpg") for number in range(5000)]
    for outcome in many:
        for path in (outcome.input, outcome.output):
            os.link(picture.input, path)
    report = archive.report(shuffled(many, seed=1))
    page = ParsedPage(report)
    assert "200 pictures of 5,000 are shown, evenly spread." in page.text
    shown = [int(Path(name).stem) for name in page.of_class("name") if name[-8:-4].isdigit()]
    assert shown[:200] == list(range(0, 5000, 25))
    assert len(page.all("input", type="range")) == 200
    assert report.stat().st_size < LARGEST_PAGE
    # Neither the order in which workers were done nor the hour makes a difference.
    assert archive.report(shuffled(many, seed=2)).read_bytes() == report.read_bytes()


def test_a_page_has_a_largest_size(archive: Archive) -> None:
    # Signs that take five each, in names and reasons as long as they can be, and longer.
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
    assert without_pictures + 400 * len(thumbnail.address) < LARGEST_PAGE
    assert len(thumbnail.address) < 33_000


def test_a_thousand_failures_are_listed(archive: Archive) -> None:
    outcomes = [
        archive.outcome(f"{number:04}.jpg", "failed", error=f"Reason {number}.")
        for number in range(1500)
    ]
    page = ParsedPage(archive.report(outcomes))
    assert page.of_class("bad") == ["failed 1,500"]
    reasons = page.of_class("reason")
    assert len(reasons) == 1000
    assert reasons[0] == "Reason 0."
    assert "1,000 failures of 1,500 are listed" in page.text
    assert page.all("a", href="outcomes.jsonl")


def test_pictures_that_cannot_be_read_are_said_to_be_so(archive: Archive) -> None:
    for name in ("moved.jpg", "damaged.jpg", "deleted.jpg", "both.jpg"):
        archive.add_pictures(name)
    (archive.photos / "moved.jpg").unlink()
    (archive.photos / "damaged.jpg").write_bytes(b"\xff\xd8\xff and no more")
    (archive.out / "deleted.jpg").unlink()
    for folder in (archive.photos, archive.out):
        (folder / "both.jpg").write_bytes(b"")
    names = ("both.jpg", "damaged.jpg", "deleted.jpg", "moved.jpg")
    page = ParsedPage(archive.report([archive.outcome(name) for name in names]))
    reasons = page.of_class("missing")
    assert reasons[0] == "The input cannot be shown. The file is empty (0 bytes)."
    assert reasons[1] == "The output cannot be shown. The file is empty (0 bytes)."
    assert reasons[2].startswith("The input cannot be shown. The JPEG file is damaged")
    for reason, what, folder, name in (
        (reasons[3], "output", archive.out, "deleted.jpg"),
        (reasons[4], "input", archive.photos, "moved.jpg"),
    ):
        assert reason == (
            f"The {what} cannot be shown. {folder / name} cannot be read: there is no such file."
        )
    alts = [image.attributes["alt"] for image in page.all("img")]
    assert alts == ["After: damaged.jpg", "Before: deleted.jpg", "After: moved.jpg"]
    assert not page.all("input", type="range")


def test_images_too_large_get_no_thumbnail(archive: Archive) -> None:
    archive.add_pictures("a.jpg", (60, 40), scale=2)
    archive.report([archive.outcome("a.jpg")])
    page = ParsedPage(Path(write_report(str(archive.out), max_pixels=60 * 40)))
    [reason] = page.of_class("missing")
    assert "The output cannot be shown. The image has 120x80 pixels" in reason


def test_a_run_without_images_says_so(archive: Archive) -> None:
    page = ParsedPage(archive.report([]))
    assert page.of_class("counts") == ["done 0 skipped 0 failed 0 of work 0 s"]
    assert f"No images were found in {archive.photos}, so there was nothing to do." in page.text
    assert "There are no pictures to show." in page.text
    assert not page.all("section", id="failures")


def test_a_run_that_was_stopped_says_so(archive: Archive) -> None:
    archive.add_pictures("done.jpg")
    reason = "It was not begun with: the run was interrupted."
    outcomes = [archive.outcome(f"{n}.jpg", "skipped", 0, reason) for n in range(3)]
    page = ParsedPage(archive.report([archive.outcome("done.jpg"), *outcomes]))
    assert page.of_class("counts")[0].startswith("done 1 skipped 3")
    assert f"3 images are left for the next run of the same command. {reason}" in page.text
    assert len(page.all("input", type="range")) == 1


def test_batches_that_share_a_folder_share_a_page(archive: Archive) -> None:
    for name in ("a.jpg", "b.webp"):
        archive.add_pictures(name)
    batches = [
        archive.batch("first"),
        archive.batch("second", method="super_resolution", format="webp"),
    ]
    outcomes = [archive.outcome("b.webp", batch="second"), archive.outcome("a.jpg", batch="first")]
    outcomes.append(archive.outcome("c.jpg", "failed", error="Why.", batch="second"))
    page = ParsedPage(archive.report(outcomes, batches))
    assert page.one("h1").text == "first, second"
    options = [element.attributes["value"] for element in page.all("option")]
    assert options == ["", "0", "1"]
    entries = [each for each in page.all("li") if each.attributes["class"] == "entry"]
    assert [each.attributes["data-batch"] for each in entries] == ["1", "0", "1"]
    assert "0 done, 0 skipped" not in page.text
    assert "1 done, 0 skipped, 1 failed, in 2\N{NO-BREAK SPACE}s of work." in page.text
    recipes = page.of_class("recipe")
    assert "fast.strength 0.5" in recipes[0]
    assert "super_resolution.checkpoint x4_pixel" in recipes[1]
    assert "fast" not in recipes[1]
    assert "super_resolution" not in recipes[0]


def test_the_recipe_of_an_optimisation(archive: Archive) -> None:
    Image.new("RGB", (9, 9)).save(archive.photos / "painting.png")
    painting = str(archive.photos / "painting.png")
    gatys = {"style_image": painting, "content_weight": 2, "size": None}
    page = ParsedPage(archive.report([], [archive.batch(method="gatys", gatys=gatys)]))
    rows = dict(
        zip(
            (element.text for element in page.all("dt")),
            (element.text for element in page.all("dd")),
            strict=True,
        )
    )
    assert rows["method"] == "gatys"
    assert rows["gatys.style_image"] == painting
    assert rows["gatys.content_weight"] == "2"
    assert re.fullmatch(r"(0\.05 relu\d_1(, )?)+", rows["gatys.style_layers"])
    assert rows["gatys.bounded"] == "yes"
    assert "fast.style" not in rows
    with_start = archive.batch(method="gatys", gatys={**gatys, "init": "fast"})
    assert "fast.style udnie" in ParsedPage(archive.report([], [with_start])).of_class("recipe")[0]


def test_the_page_stands_alone(archive: Archive) -> None:
    archive.add_pictures("a.jpg")
    page = ParsedPage(archive.report([archive.outcome("a.jpg")]))
    for element in page.elements:
        for key in ("src", "href", "action", "data", "poster", "srcset", "style"):
            value = element.attributes.get(key)
            assert value is None or re.match(r"data:|#|\.\./|(outcomes\.jsonl|run\.json)$", value)
    [policy] = [e.attributes["content"] for e in page.all("meta") if "http-equiv" in e.attributes]
    assert "default-src 'none'" in str(policy)
    assert "unsafe" not in str(policy)
    for tag in ("script", "style"):
        text = page.one(tag).text
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in str(policy)
        assert not re.search(r"url\(|@import|https?:", text)


def test_a_report_in_a_bucket(bucket: gcs.Bucket, tmp_path: Path, archive: Archive) -> None:
    archive.add_pictures("a.jpg")
    outcome = archive.outcome("a.jpg")
    archive.report([outcome])
    moved = {"photos/a.jpg": outcome.input, "out/a.jpg": outcome.output}
    for name, path in moved.items():
        bucket.blob(name).upload_from_filename(path)
    for name in ("run.json", "outcomes.jsonl"):
        text = (archive.out / "_stylebeam" / name).read_text()
        bucket.blob(f"out/_stylebeam/{name}").upload_from_string(
            text.replace(str(tmp_path), "gs://archive")
        )
    assert write_report("gs://archive/out") == "gs://archive/out/_stylebeam/report.html"
    blob = bucket.blob("out/_stylebeam/report.html")
    (tmp_path / "report.html").write_bytes(blob.download_as_bytes())
    assert blob.content_type == "text/html; charset=utf-8"
    page = ParsedPage(tmp_path / "report.html")
    assert page.of_class("name")[0] == "gs://archive/photos/a.jpg"
    assert page.all("a", href="../a.jpg")
    assert len(page.all("img")) == 2


def test_outcomes_are_summed_up_in_little_memory() -> None:
    count = 20_000
    outcomes = (
        Outcome("all", f"photos/{n}.jpg", f"out/{n}.jpg", "done", "recipe", n / 1000)
        for n in reversed(range(count))
    )
    tracemalloc.start()
    [overview] = sum_up(["all"], outcomes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 120 * count
    assert overview.counts == {"done": count}
    assert overview.seconds == pytest.approx(sum(range(count)) / 1000)
    assert overview.slowest == (19.999, "photos/19999.jpg")
    assert overview.pictures == sorted(f"photos/{n}.jpg" for n in range(count))


@pytest.mark.parametrize(
    ("counts", "most", "shares"),
    [
        ([], 200, []),
        ([5], 200, [5]),
        ([1000], 200, [200]),
        ([3, 1000], 200, [3, 197]),
        ([1000, 3, 1000], 200, [98, 3, 99]),
        ([3, 150], 200, [3, 150]),
        ([9, 9, 9], 2, [0, 1, 1]),
    ],
)
def test_small_batches_are_shown_in_full(counts: list[int], most: int, shares: list[int]) -> None:
    assert fair_shares(counts, most) == shares


def test_what_is_chosen_is_evenly_spread() -> None:
    assert spread("abcdefghij", 10) == list("abcdefghij")
    assert spread("abcdefghij", 5) == list("acegi")
    assert spread("abcdefghij", 3) == list("adg")
    assert spread("", 0) == []


def test_a_histogram_counts_every_image() -> None:
    timings = time_images([0.05, 0.1, 0.1, 0.299, 0.3])
    assert {bar.start: bar.images for bar in timings.bars if bar.images} == {
        0.05: 1,
        0.1: 2,
        0.29: 1,
        0.3: 1,
    }
    assert (timings.median, timings.high) == (0.1, 0.3)
    assert timings.bars[-1].end == 0.31


@pytest.mark.parametrize(
    ("seconds", "bars"), [([0.0], 2), ([1.0] * 7, 21), ([0.001, 3600.0], 37), ([7.3], 37)]
)
def test_a_histogram_has_few_bars(seconds: list[float], bars: int) -> None:
    timings = time_images(array("d", seconds))
    assert len(timings.bars) == bars
    assert sum(bar.images for bar in timings.bars) == len(seconds)
    assert len(timings.ticks) <= 6


def test_the_slowest_share_a_bar() -> None:
    timings = time_images([1.0] * 99 + [60.0])
    assert timings.bars[-1].end is None
    assert timings.bars[-1].images == 1
    assert timings.bars[-1].start == pytest.approx(2.1)
    assert sum(bar.images for bar in timings.bars) == 100


def test_a_run_that_found_nothing_to_do_leaves_the_report(archive: Archive) -> None:
    for name in ("a.png", "b.png"):
        archive.add_pictures(name)
    path = archive.report([archive.outcome("a.png"), archive.outcome("b.png")])
    written = path.read_bytes()
    nothing = [archive.outcome(name, "skipped", 0.0) for name in ("a.png", "b.png")]
    assert archive.report(nothing).read_bytes() == written
    assert archive.report([nothing[0], archive.outcome("b.png")]).read_bytes() != written
    path.unlink()
    assert "was up to date" in archive.report(nothing).read_text()
    stopped = [nothing[0], archive.outcome("b.png", "skipped", 0.0, "It was not begun with.")]
    assert "It was not begun with." in archive.report(stopped).read_text()
