"""Reports: the content of the page, for runs of any kind."""

import base64
import hashlib
import io
import os
import re
from pathlib import Path

import pytest
from google.cloud import storage as gcs
from PIL import Image

from stylebeam.pipeline.report import write_report
from tests.helpers.report_pages import Archive, ParsedPage

SCRIPT = "<script>alert(1)</script>.jpg"
NOT_UTF8 = os.fsdecode(b"caf\xe9.jpg")
SIZE = "60 \N{MULTIPLICATION SIGN} 40"


def decoded(address: str | None) -> Image.Image:
    """Return the image in a data URI."""
    kind, data = str(address).split(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_page_lists_every_image(archive: Archive) -> None:
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
    assert page.of_class("counts") == ["done 2 skipped 1 failed 1 work time 1 min 4 s"]
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


def test_a_picture_has_thumbnails_before_and_after(archive: Archive) -> None:
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


def test_transparent_pictures_are_shown_on_white(archive: Archive) -> None:
    archive.add_pictures("a.png")
    Image.new("RGBA", (60, 40), (0, 0, 0, 0)).save(archive.out / "a.png")
    page = ParsedPage(archive.report([archive.outcome("a.png")]))
    after = decoded(page.all("img")[1].attributes["src"])
    assert after.mode == "RGB"
    assert min(after.getpixel((30, 20))) > 250


def test_names_are_escaped(archive: Archive) -> None:
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


def test_names_with_invisible_characters(archive: Archive) -> None:
    reversed_text, narrow_space = "gpj.\u202egnp.jpg", "at 9.41\u202fAM.jpg"
    for name in (NOT_UTF8, reversed_text, narrow_space):
        archive.add_pictures(name)
    outcomes = [archive.outcome(name) for name in (NOT_UTF8, reversed_text, narrow_space)]
    outcomes.append(archive.outcome(f"no{NOT_UTF8}", "failed", error=f"{NOT_UTF8} is\nempty."))
    page = ParsedPage(archive.report(outcomes))
    assert page.of_class("reason") == [r"caf\udce9.jpg is\nempty."]
    assert f"{archive.photos}/caf\\udce9.jpg" in page.of_class("name")
    assert f"{archive.photos}/gpj.\\u202egnp.jpg" in page.of_class("name")
    assert f"{archive.photos}/at 9.41 AM.jpg" in page.of_class("name")
    assert page.all("a", href="../caf%E9.jpg")
    assert len(page.all("img")) == 6


def test_unreadable_pictures_are_replaced_by_the_reason(archive: Archive) -> None:
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


def test_a_run_without_images_says_so(archive: Archive) -> None:
    page = ParsedPage(archive.report([]))
    assert page.of_class("counts") == ["done 0 skipped 0 failed 0 work time 0 s"]
    assert f"No images were found in {archive.photos}, so there was nothing to do." in page.text
    assert "There are no pictures to show." in page.text
    assert not page.all("section", id="failures")


def test_a_stopped_run_says_so(archive: Archive) -> None:
    archive.add_pictures("done.jpg")
    reason = "It was not started: the run was interrupted."
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
    assert "1 done, 0 skipped, 1 failed; work time 2\N{NO-BREAK SPACE}s." in page.text
    recipes = page.of_class("recipe")
    assert "fast.strength 0.5" in recipes[0]
    assert "super_resolution.checkpoint x4_pixel" in recipes[1]
    assert "fast" not in recipes[1]
    assert "super_resolution" not in recipes[0]


def rows_of(page: ParsedPage) -> dict[str, str]:
    """Return the keys and values of the only batch's recipe."""
    keys = [element.text for element in page.all("dt")]
    return dict(zip(keys, (element.text for element in page.all("dd")), strict=True))


def test_a_recipe_shows_the_plain_keys_and_the_options_of_its_method(archive: Archive) -> None:
    options = {
        "painting": "swirls.jpg",
        "weight": 2.0,
        "layers": {"relu1_1": 0.05, "relu2_1": 0.1},
        "styles": {"udnie": 1},
        "nothing": {},
        "bounded": True,
    }
    batch = archive.batch(method="unknown_to_the_report", unknown_to_the_report=options)
    rows = rows_of(ParsedPage(archive.report([], [batch])))
    assert list(rows.items())[4:] == [
        ("input", str(archive.photos)),
        ("output", str(archive.out)),
        ("method", "unknown_to_the_report"),
        ("format", "same"),
        ("quality", "95"),
        ("weights", "1234567812345678"),
        ("unknown_to_the_report.painting", "swirls.jpg"),
        ("unknown_to_the_report.weight", "2"),
        ("unknown_to_the_report.layers", "0.05 relu1_1, 0.1 relu2_1"),
        ("unknown_to_the_report.styles", "udnie"),
        ("unknown_to_the_report.nothing", "none"),
        ("unknown_to_the_report.bounded", "yes"),
    ]


def test_a_recipe_shows_the_sections_that_the_record_lists(archive: Archive) -> None:
    batch = archive.batch(method="gatys", gatys={"init": "fast"}, sections=["gatys", "fast"])
    rows = rows_of(ParsedPage(archive.report([], [batch])))
    assert rows["gatys.init"] == "fast"
    assert rows["fast.style"] == "udnie"
    assert "super_resolution.checkpoint" not in rows
    assert "sections" not in rows


def test_the_page_is_self_contained(archive: Archive) -> None:
    archive.add_pictures("a.jpg")
    page = ParsedPage(archive.report([archive.outcome("a.jpg")]))
    for element in page.elements:
        for key in ("src", "href", "action", "data", "poster", "srcset", "style"):
            value = element.attributes.get(key)
            assert value is None or re.match(r"data:|#|\.\./|(outcomes\.jsonl|run\.json)$", value)
    [policy] = [
        meta.attributes["content"] for meta in page.all("meta") if "http-equiv" in meta.attributes
    ]
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


def test_a_run_with_nothing_to_do_keeps_the_report(archive: Archive) -> None:
    for name in ("a.png", "b.png"):
        archive.add_pictures(name)
    path = archive.report([archive.outcome("a.png"), archive.outcome("b.png")])
    written = path.read_bytes()
    nothing = [archive.outcome(name, "skipped", 0.0) for name in ("a.png", "b.png")]
    assert archive.report(nothing).read_bytes() == written
    assert archive.report([nothing[0], archive.outcome("b.png")]).read_bytes() != written
    path.unlink()
    assert "was up to date" in archive.report(nothing).read_text()
    stopped = [nothing[0], archive.outcome("b.png", "skipped", 0.0, "It was not started.")]
    assert "It was not started." in archive.report(stopped).read_text()
