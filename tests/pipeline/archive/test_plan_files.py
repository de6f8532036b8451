"""Tests of plan files: a plan is read as it was written."""

import json
from functools import partial
from pathlib import Path

import pytest
from apache_beam.pipeline import Pipeline
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState

import stylebeam
from stylebeam.pipeline.archive import inputs
from stylebeam.pipeline.archive.plan_files import PlanWriter, read_plan
from stylebeam.pipeline.archive.records import Task
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.config.file import ConfigError
from stylebeam.pipeline.runs import run

TASKS = [
    Task("b", f"in/é\udcff {number}.jpg", f"out/{number}.jpg", "digest", "out", f"stamp {number}")
    for number in range(5)
]


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    writer = PlanWriter(str(tmp_path / "plan"), items_in_a_file=2)
    items = [*TASKS, TASKS[0].outcome("skipped", 0.0), TASKS[1].outcome("failed", 0.0, None, "No.")]
    for item in items:
        writer.add(item)
    writer.close()
    assert len(writer.paths) == 4
    assert [item for path in writer.paths for item in read_plan(path)] == items
    writer.delete()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_plan_has_no_files(tmp_path: Path) -> None:
    writer = PlanWriter(str(tmp_path / "plan"))
    writer.close()
    assert writer.paths == []


@pytest.mark.slow
def test_files_added_during_planning_wait_for_the_next_run(
    one_batch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file added after its folder was listed could collide with a planned output."""
    list_images = inputs.list_images

    def while_files_are_added(*arguments: object) -> object:
        yield from list_images(*arguments)
        photo = (one_batch / "photos" / "a.jpg").read_bytes()
        (one_batch / "photos" / "a.jpeg").write_bytes(photo)
        (one_batch / "photos" / "new.jpg").write_bytes(photo)

    monkeypatch.setattr(inputs, "list_images", while_files_are_added)
    assert main(["run", "config.yaml", "--set", "batches.all.format=png"]) == 0
    monkeypatch.undo()
    monkeypatch.chdir(one_batch)
    assert outcomes(one_batch) == {"a.jpg": "done", "b.png": "done", "c.jpeg": "done"}
    assert not (one_batch / "out" / "new.png").exists()
    # The next run sees that a.jpg and a.jpeg would be one output, and refuses.
    assert main(["run", "config.yaml", "--set", "batches.all.format=png"]) == 2
    (one_batch / "photos" / "a.jpeg").unlink()
    assert main(["run", "config.yaml", "--set", "batches.all.format=png"]) == 0
    assert outcomes(one_batch)["new.jpg"] == "done"


def outcomes(folder: Path) -> dict[str, str]:
    lines = (folder / "out" / "_stylebeam" / "outcomes.jsonl").read_text().splitlines()
    return {Path(each["input"]).name: each["status"] for each in map(json.loads, lines)}


class InterruptedResult(PipelineResult):
    """A job whose user presses Ctrl-C while it runs."""

    def wait_until_finish(self, duration: int | None = None) -> str:
        raise KeyboardInterrupt


class InterruptedRunner(PipelineRunner):
    """A cluster that accepts jobs."""

    def run_pipeline(self, pipeline: Pipeline, options: object) -> PipelineResult:
        return InterruptedResult(PipelineState.RUNNING)


def test_workers_keep_their_plan_if_the_user_stops_waiting(one_batch: Path) -> None:
    flags = [f"--runner={__name__}.{InterruptedRunner.__name__}"]
    for _ in range(2):  # The next run deletes the plan of the one before.
        with pytest.raises(KeyboardInterrupt):
            stylebeam.run("config.yaml", beam_flags=flags)
        [plan] = plans(one_batch)
        planned = {Path(item.input).name for item in read_plan(str(plan))}
        assert planned == {"a.jpg", "b.png", "c.jpeg"}
    assert main(["run", "config.yaml"]) == 0  # with a plan on this machine
    assert plans(one_batch) == [plan]


def test_a_refused_run_leaves_no_plan(one_batch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # With small files, some are written before the run is refused.
    monkeypatch.setattr(run, "PlanWriter", partial(PlanWriter, items_in_a_file=1))
    (one_batch / "photos" / "a.jpeg").write_bytes((one_batch / "photos" / "a.jpg").read_bytes())
    flags = [f"--runner={__name__}.{InterruptedRunner.__name__}"]
    with pytest.raises(ConfigError, match="would both be written"):
        stylebeam.run("config.yaml", ["batches.all.format=png"], flags)
    assert plans(one_batch) == []


def plans(folder: Path) -> list[Path]:
    return list((folder / "out").glob("_stylebeam/plan-*"))
