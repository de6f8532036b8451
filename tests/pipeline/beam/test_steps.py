"""The steps of a run, and the record of outcomes, in a Beam pipeline with a fake method."""

import io
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import pytest
import torch
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from PIL import Image

from stylebeam.pipeline.archive import ledger
from stylebeam.pipeline.archive.records import Outcome, Recipe, Task
from stylebeam.pipeline.beam.model_handler import StylizeModelHandler
from stylebeam.pipeline.beam.record_outcomes import RecordOutcomes
from stylebeam.pipeline.beam.steps import Limits, StylizeTasks, Watch, read_image
from tests.helpers.fake_method import FakeMethod, fake_recipe

RECIPE = fake_recipe()
RECIPES = {RECIPE.digest: RECIPE}
TOO_DARK = "The image could not be stylized: too dark"


def task(batch: str, folder: Path, name: str) -> Task:
    out = f"{folder}/out"
    return Task(batch, f"{folder}/{name}", f"{out}/{name}", RECIPE.digest, out, f"stamp of {name}")


def tasks(folder: Path, *names: str) -> list[Task]:
    return [task("b", folder, name) for name in names]


@pytest.fixture
def stylize() -> StylizeTasks:
    return StylizeTasks(RECIPES, StylizeModelHandler(RECIPES, "cpu"), Limits(max_pixels=10_000))


def gist(outcome: Outcome) -> tuple[str, str, tuple[int | None, int | None], str | None]:
    size = (outcome.width, outcome.height)
    return Path(outcome.input).name, outcome.status, size, outcome.error


def test_every_task_becomes_one_outcome(tmp_path: Path, stylize: StylizeTasks) -> None:
    for number in range(20):
        Image.new("RGB", (number + 1, 9), (number, 0, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "text.png").write_text("no image")
    names = [f"{number}.png" for number in range(20)] + ["text.png", "gone.png"]
    expected = [(f"{n}.png", "done", (n + 1, 9), None) for n in range(1, 20)]
    expected += [
        ("0.png", "failed", (1, 9), TOO_DARK),
        ("text.png", "failed", (None, None), "The file is not an image of a known kind."),
        (
            "gone.png",
            "failed",
            (None, None),
            f"{tmp_path}/gone.png cannot be read: there is no such file.",
        ),
    ]
    with TestPipeline() as pipeline:
        outcomes = pipeline | beam.Create(tasks(tmp_path, *names)) | stylize
        assert_that(outcomes | beam.Map(gist), equal_to(expected))
    for number in range(1, 20):
        with Image.open(tmp_path / "out" / f"{number}.png") as written:
            assert written.size == (number + 1, 9)
            assert written.getpixel((0, 0)) == (255 - number, 255, 255)
    assert not (tmp_path / "out" / "0.png").exists()


def refuse(pixels: torch.Tensor) -> torch.Tensor:
    raise AssertionError("A picture that cannot be written was computed.")


@pytest.mark.parametrize(
    ("image_format", "scale", "sizes", "message"),
    [
        ("webp", 1, [(16_384, 1), (1, 16_384)], "a side may have at most 16383 pixels"),
        ("webp", 4, [(4096, 1), (1, 5000)], "a side may have at most 16383 pixels"),
        ("jpeg", 1, [(65_501, 1), (1, 65_501)], "a side may have at most 65500 pixels"),
        ("jpeg", 2, [(32_751, 1)], "a side may have at most 65500 pixels"),
        ("avif", 8, [(4097, 1)], "a side may have at most 32768 pixels"),
        ("avif", 8, [(2049, 2048)], "it may have at most 268435456 pixels"),
    ],
)
def test_pictures_too_large_for_their_format_fail_before_any_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    image_format: str,
    scale: int,
    sizes: list[tuple[int, int]],
    message: str,
) -> None:
    method = FakeMethod(function=refuse, scale_of_pictures=scale)
    recipe = Recipe("fake", method, image_format, 92)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: pytest.fail("decoded"))
    for width, height in sizes:
        written = tmp_path / "photo.png"
        written.write_bytes(header_of_png(width, height))
        each = replace(task("b", tmp_path, "photo.png"), recipe=recipe.digest)
        outcome = read_image(each, {recipe.digest: recipe}, Limits(), Watch())
        assert isinstance(outcome, Outcome)
        assert outcome.error == (
            f"A picture of {scale * width}x{scale * height} pixels cannot be written as"
            f" {image_format}: {message}. Choose another format, such as png or tiff."
        )
    assert capfd.readouterr().err == ""


def header_of_png(width: int, height: int) -> bytes:
    """Return a PNG file of a size whose pixels are missing."""
    buffer = io.BytesIO()
    Image.new("1", (1, 1)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = struct.pack(">2L", width, height)
    data[29:33] = struct.pack(">L", zlib.crc32(data[12:29]))
    return bytes(data)


def test_a_failed_write_does_not_affect_the_others(tmp_path: Path, stylize: StylizeTasks) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 4), "red").save(tmp_path / name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").mkdir()
    with TestPipeline() as pipeline:
        outcomes = (
            pipeline
            | beam.Create(tasks(tmp_path, "a.png", "b.png"))
            | stylize
            | beam.Map(lambda outcome: (outcome.status, (outcome.error or "")[-15:]))
        )
        assert_that(outcomes, equal_to([("failed", "is a directory."), ("done", "")]))


def test_results_are_counted_by_status(tmp_path: Path, stylize: StylizeTasks) -> None:
    for name, color in (("a.png", "red"), ("b.png", "blue"), ("c.png", "black")):
        Image.new("RGB", (4, 4), color).save(tmp_path / name)
    pipeline = TestPipeline()
    names = ("a.png", "b.png", "c.png")
    _ = pipeline | beam.Create(tasks(tmp_path, *names)) | stylize
    result = pipeline.run()
    counters = result.metrics().query()["counters"]
    counts = {c.key.metric.name: c.result for c in counters}
    assert counts["done"] == 2
    assert counts["failed"] == 1


def test_outcomes_are_recorded_beside_the_outputs(tmp_path: Path) -> None:
    outcomes = [
        task(batch, Path("in"), str(number)).outcome("done", 0.1, (5, 6))
        for number, batch in enumerate(("a", "b", "a", "c"))
    ]
    folders = {name: str(tmp_path / folder) for name, folder in zip("abcd", "xxyz", strict=True)}
    ledger.write_outcomes(str(tmp_path / "z"), [outcome.to_json() for outcome in outcomes])
    with TestPipeline() as pipeline:
        _ = pipeline | beam.Create(outcomes) | RecordOutcomes(folders)
    inputs = {
        folder: sorted(outcome.input for outcome in ledger.read_outcomes(str(tmp_path / folder)))
        for folder in "xyz"
    }
    # The batch d had no input this time, so the outcomes of the run before are deleted.
    assert inputs == {"x": ["in/0", "in/1", "in/2"], "y": ["in/3"], "z": []}
    [line] = (tmp_path / "y" / "_stylebeam" / "outcomes.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "batch": "c",
        "input": "in/3",
        "output": "in/out/3",
        "status": "done",
        "recipe": RECIPE.digest,
        "seconds": 0.1,
        "width": 5,
        "height": 6,
        "error": None,
        "stamp": "stamp of 3",
        "style": "",
        "digest": None,
        "run": "",
    }


def test_outcomes_among_the_tasks_are_passed_on(tmp_path: Path, stylize: StylizeTasks) -> None:
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.png")
    [first, second] = tasks(tmp_path, "a.png", "b.png")
    with TestPipeline() as pipeline:
        work = pipeline | beam.Create([first, second.outcome("skipped", 0.0)])
        outcomes = work | stylize | beam.Map(lambda each: (each.input[-5:], each.status))
        assert_that(outcomes, equal_to([("a.png", "done"), ("b.png", "skipped")]))


def test_only_the_method_changes_pixels(tmp_path: Path, stylize: StylizeTasks) -> None:
    pixels = torch.randint(0, 255, (3, 31, 17), dtype=torch.uint8)
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(tmp_path / "noise.png")
    with TestPipeline() as pipeline:
        _ = pipeline | beam.Create(tasks(tmp_path, "noise.png")) | stylize
    with Image.open(tmp_path / "out" / "noise.png") as written:
        negative = torch.frombuffer(bytearray(written.tobytes()), dtype=torch.uint8)
    assert torch.equal(negative.view(31, 17, 3).permute(2, 0, 1), 255 - pixels)
