"""Tests of second runs of archives that were moved, and of folders that cannot be listed."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stylebeam.pipeline.archive import journal, ledger
from stylebeam.pipeline.archive.records import Outcome, Task
from stylebeam.pipeline.archive.results import Results
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.config.mistakes import Problems
from stylebeam.pipeline.config.run_config import RunConfig
from stylebeam.pipeline.runs.planning import BatchPlan, resolve
from stylebeam.pipeline.storage import StampPlace
from tests.helpers.memory_storage import MemoryStorage
from tests.helpers.permissions import permissions_apply
from tests.helpers.storages import use_storage

Plan = Callable[..., BatchPlan]


@pytest.fixture
def plan(photos: Path, checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Plans a batch from `photos` to `out` in the working directory."""
    monkeypatch.chdir(photos.parent)

    def make(retry_failed: bool = False, **keys: object) -> BatchPlan:
        batch = {"name": "all", "input": "photos", "output": "out", **keys}
        config = {"batches": [{**batch, "fast": {"style": str(checkpoint_path)}}]}
        [planned] = resolve(RunConfig.model_validate(config), Problems(), retry_failed)
        return planned

    return make


def old_stamp(task: Task, place: str) -> str:
    """Return the stamp that was given before stamps held relative paths."""
    found = os.stat(task.input)
    values = [task.recipe, place, f"{found.st_size}-{found.st_mtime_ns}"]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]


def write_outputs(
    planned: BatchPlan, stamp_of: Callable[[Task], str] = lambda task: task.stamp
) -> None:
    for task in planned.items():
        assert isinstance(task, Task)
        journal.write_output(task.folder, task.output, b"picture", stamp_of(task), is_new=True)


def to_do(planned: BatchPlan) -> set[str]:
    return {item.output for item in planned.items() if isinstance(item, Task)}


@pytest.mark.parametrize("place", ["elsewhere/trip", "elsewhere/trip/**", "link", "/"])
def test_what_is_up_to_date_stays_so_in_another_place(plan: Plan, photos: Path, place: str) -> None:
    write_outputs(plan())
    Path("elsewhere").mkdir()
    photos.rename("elsewhere/trip")
    Path("link").symlink_to("elsewhere/trip")
    location = os.path.abspath("elsewhere/trip") if place == "/" else place
    assert to_do(plan(input=location)) == set()
    (Path("elsewhere/trip") / "b.png").touch()
    assert to_do(plan(input=location)) == {"out/b.png"}


def test_a_single_photo_in_another_place_is_up_to_date(plan: Plan, photos: Path) -> None:
    write_outputs(plan(input="photos/a.jpg"))
    photos.rename("moved")
    assert to_do(plan(input="moved/a.jpg")) == set()
    assert to_do(plan(input="moved/*.jpg")) == set()


def test_photos_of_another_folder_with_the_same_names_are_not_skipped(
    plan: Plan, photos: Path
) -> None:
    write_outputs(plan())
    shutil.copytree(photos, "others")
    assert to_do(plan(input="others")) == set()  # copies, with the sizes and times
    for path in Path("others").rglob("*.*"):
        path.touch()
    assert to_do(plan(input="others")) == {"out/a.jpg", "out/b.png", "out/below/c.jpeg"}


def test_photos_with_one_output_and_the_same_version_are_told_apart(
    plan: Plan, photos: Path
) -> None:
    write_outputs(plan(input="photos/a.jpg", format="webp"))
    (photos / "a.jpg").rename(photos / "a.jpeg")
    assert to_do(plan(input="photos/a.jpeg", format="webp")) == {"out/a.webp"}


def test_old_stamps_still_count(plan: Plan, photos: Path) -> None:
    write_outputs(plan(), lambda task: old_stamp(task, os.path.realpath(task.input)))
    assert to_do(plan()) == set()
    Path("link").symlink_to("photos")
    assert to_do(plan(input="link")) == set()
    (photos / "a.jpg").touch()
    assert to_do(plan()) == {"out/a.jpg"}


@pytest.mark.slow
def test_a_run_renews_old_stamps(plan: Plan, one_batch: Path, photos: Path) -> None:
    """So that the archive can be moved after the run."""
    write_outputs(plan(), lambda task: old_stamp(task, os.path.realpath(task.input)))
    assert main(["run", "config.yaml"]) == 0
    assert {each.status for each in ledger.read_outcomes("out")} == {"skipped"}
    photos.rename("moved")
    assert to_do(plan(input="moved")) == set()


def record_outcomes(planned: BatchPlan, **status_of: str) -> None:
    batch = planned.batch
    ledger.write_run(batch.output, [{"name": batch.name, "input": batch.input}])
    outcomes = [
        item.outcome(status_of[Path(item.input).stem], 1.0, (8, 8), "It is damaged.")
        for item in planned.items()
        if isinstance(item, Task)
    ]
    ledger.write_outcomes(batch.output, [each.to_json() for each in outcomes])


def test_what_failed_is_tried_again_in_another_place(plan: Plan, photos: Path) -> None:
    record_outcomes(plan(), a="done", b="failed", c="skipped")
    photos.rename("moved")
    Path("out").rename("new")
    items = list(plan(retry_failed=True, input="moved", output="new").items())
    assert [(type(item), item.input, item.output) for item in items] == [
        (Outcome, "moved/a.jpg", "new/a.jpg"),
        (Task, "moved/b.png", "new/b.png"),
        (Outcome, "moved/below/c.jpeg", "new/below/c.jpeg"),
    ]


def test_photos_of_a_folder_that_could_not_be_listed_are_tried_again(
    plan: Plan, photos: Path
) -> None:
    planned = plan(input="photos/*.*")
    record_outcomes(planned, a="done", b="done")
    folder = Outcome("all", "photos/below", "", "failed", "", 0.0, error="It cannot be listed.")
    outcomes = [*ledger.read_outcomes("out"), folder]
    ledger.write_outcomes("out", [each.to_json() for each in outcomes])
    retry = plan(retry_failed=True)
    assert to_do(retry) == {"out/below/c.jpeg"}
    assert retry.has_work
    (photos / "below").rename(photos / "other")
    retry = plan(retry_failed=True)
    assert to_do(retry) == set()
    assert not retry.has_work


class Recorded(MemoryStorage):
    """A storage that keeps no stamps, as most that Beam knows."""

    stamp_place = StampPlace.RECORD


def test_outputs_that_were_moved_with_their_record_are_up_to_date(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Recorded()
    use_storage(monkeypatch, "memory", memory)
    task = next(iter(plan(output="memory://old/out").items()))
    assert isinstance(task, Task)
    for folder in ("memory://old/out", "memory://new/place"):
        moved = task.output.replace("memory://old/out", folder)
        memory.write(moved, b"picture", "image/jpeg")
        ledger.write_run(folder, [{"name": "all", "output": "memory://old/out"}])
        ledger.write_outcomes(folder, [task.outcome("done", 1.0).to_json()])
        assert Results(folder).of[moved].stamp == task.stamp
    assert "memory://new/place/a.jpg" not in to_do(plan(output="memory://new/place"))


def test_an_output_in_a_folder_that_cannot_be_listed_is_not_replaced(plan: Plan) -> None:
    for name in ("out/below", "out/lost+found"):
        Path(name).mkdir(parents=True)
        Path(name).chmod(0)
    planned = plan()
    with permissions_apply():
        items = {item.input: item for item in planned.items()}
    assert isinstance(items["photos/a.jpg"], Task)
    refused = items["photos/below/c.jpeg"]
    assert isinstance(refused, Outcome)
    assert refused.error == (
        "out/below cannot be listed: permission denied. An output that may be there is not"
        " replaced."
    )
