"""`StylizeFiles` in a user's own pipeline: outputs, stamps and outcomes as in a run."""

import json
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from stylebeam.pipeline import StylizeFiles
from stylebeam.pipeline.archive.records import Outcome
from stylebeam.pipeline.cli.arguments import main

NAMES = ["a.jpg", "b.png", "below/c.jpeg"]


def gist(outcome: Outcome) -> tuple[str, str, str | None]:
    return Path(outcome.input).name, outcome.status, outcome.error


def run(folder: Path, names: list[str], expected: list[object], **options: object) -> None:
    photos = folder / "photos"
    step = StylizeFiles(str(photos), str(folder / "out"), **options)
    with TestPipeline() as pipeline:
        outcomes = pipeline | beam.Create([f"{photos}/{name}" for name in names]) | step
        assert_that(outcomes | beam.Map(gist), equal_to(expected))


@pytest.mark.slow
def test_a_second_run_redoes_what_is_missing_or_changed(one_batch: Path) -> None:
    options = {"style": "style.safetensors", "device": "cpu"}
    done = [("a.jpg", "done", None), ("b.png", "done", None), ("c.jpeg", "done", None)]
    run(one_batch, NAMES, done, **options)
    (one_batch / "out" / "b.png").unlink()
    again = [("a.jpg", "skipped", None), ("b.png", "done", None), ("c.jpeg", "skipped", None)]
    run(one_batch, NAMES, again, **options)
    run(one_batch, NAMES, done, **options, strength=0.5)


@pytest.mark.slow
def test_the_outputs_equal_those_of_the_command(one_batch: Path) -> None:
    run(one_batch, NAMES[:1], [("a.jpg", "done", None)], style="style.safetensors", device="cpu")
    made = (one_batch / "out" / "a.jpg").read_bytes()
    assert main(["run", "config.yaml"]) == 0
    lines = (one_batch / "out" / "_stylebeam" / "outcomes.jsonl").read_text().splitlines()
    statuses = {Path(each["input"]).name: each["status"] for each in map(json.loads, lines)}
    assert statuses == {"a.jpg": "skipped", "b.png": "done", "c.jpeg": "done"}
    (one_batch / "out" / "a.jpg").unlink()
    assert main(["run", "config.yaml"]) == 0
    assert (one_batch / "out" / "a.jpg").read_bytes() == made


def test_an_image_that_cannot_be_stylized_is_a_failed_outcome(one_batch: Path) -> None:
    photos = one_batch / "photos"
    (photos / "text.png").write_text("no image")
    (photos / "notes.txt").write_text("notes")
    gone = f"{photos}/gone.jpg cannot be read: there is no such file."
    expected = [
        ("a.jpg", "done", None),
        ("text.png", "failed", "The file is not an image of a known kind."),
        ("gone.jpg", "failed", gone),
    ]
    names = ["a.jpg", "text.png", "gone.jpg"]
    run(one_batch, names, expected, style="style.safetensors", device="cpu")
    step = StylizeFiles(str(photos), str(one_batch / "out"), style="style.safetensors")
    with TestPipeline() as pipeline:
        paths = [f"{photos}/notes.txt", f"{one_batch}/elsewhere.jpg"]
        outcomes = pipeline | beam.Create(paths) | step | beam.Map(lambda each: each.error)
        image = f"{photos}/notes.txt is not an image (.jpg, "
        below = f"{one_batch}/elsewhere.jpg is not below {photos}."
        assert_that(
            outcomes | beam.Map(lambda error: error[: len(image)] if image in error else error),
            equal_to([image, below]),
        )


@pytest.mark.parametrize("output", ["photos", "photos/styled", "link", "link/styled"])
def test_outputs_are_never_written_below_the_input_folder(one_batch: Path, output: str) -> None:
    (one_batch / "link").symlink_to("photos")
    with pytest.raises(ValueError, match="must not be in the input folder"):
        StylizeFiles("photos", output, style="style.safetensors", overwrite="always")


def test_an_output_that_would_replace_an_input_fails(one_batch: Path) -> None:
    photos = one_batch / "photos"
    (photos / "photos").mkdir()
    (photos / "photos" / "a.jpg").write_bytes((photos / "a.jpg").read_bytes())
    before = (photos / "a.jpg").read_bytes()
    step = StylizeFiles("photos", ".", style="style.safetensors", device="cpu", overwrite="always")
    with TestPipeline() as pipeline:
        outcomes = pipeline | beam.Create(["photos/photos/a.jpg", "photos/b.png"]) | step
        error = "It would be written to ./photos/a.jpg, below the input folder."
        expected = [("a.jpg", "failed", error), ("b.png", "done", None)]
        assert_that(outcomes | beam.Map(gist), equal_to(expected))
    assert (photos / "a.jpg").read_bytes() == before
    assert (one_batch / "b.png").exists()
