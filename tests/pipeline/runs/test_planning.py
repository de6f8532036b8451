"""Tests of plans: outputs, and collisions between them."""

from pathlib import Path

import pytest

from stylebeam.pipeline.config.file import ConfigError
from stylebeam.pipeline.config.mistakes import Problems
from stylebeam.pipeline.config.run_config import RunConfig
from stylebeam.pipeline.runs.planning import BatchPlan, resolve, survey
from stylebeam.transforms.checkpoints import weights_digest
from tests.helpers.volumes import ignore_spelling, mounted_again


def config(checkpoint: Path, *batches: dict[str, object]) -> RunConfig:
    shared = {"fast": {"style": str(checkpoint)}}
    return RunConfig.model_validate({"batches": [{**shared, **batch} for batch in batches]})


def plan(config: RunConfig) -> list[BatchPlan]:
    return resolve(config, Problems())


def test_outputs_mirror_the_tree_of_the_input(photos: Path, checkpoint_path: Path) -> None:
    [batch_plan] = plan(
        config(checkpoint_path, {"name": "x", "input": str(photos), "output": "out"})
    )
    assert survey([batch_plan]) == {"x": {None: 3}}
    tasks = {task.input: task for task in batch_plan.items()}
    assert {
        path: (task.output, batch_plan.recipes_by_digest[task.recipe].format)
        for path, task in tasks.items()
    } == {
        f"{photos}/a.jpg": ("out/a.jpg", "jpeg"),
        f"{photos}/b.png": ("out/b.png", "png"),
        f"{photos}/below/c.jpeg": ("out/below/c.jpeg", "jpeg"),
    }
    recipe = batch_plan.recipes_by_digest[tasks[f"{photos}/a.jpg"].recipe]
    assert recipe.options.network_key == weights_digest(checkpoint_path.read_bytes())


def test_a_chosen_format_gives_the_extension(photos: Path, checkpoint_path: Path) -> None:
    batch = {"name": "x", "input": str(photos), "output": "out", "format": "webp"}
    [batch_plan] = plan(config(checkpoint_path, batch))
    outputs = sorted(task.output for task in batch_plan.items())
    assert outputs == ["out/a.webp", "out/b.webp", "out/below/c.webp"]


def test_collisions_are_errors_before_the_run(photos: Path, checkpoint_path: Path) -> None:
    (photos / "a.png").write_bytes((photos / "b.png").read_bytes())
    same = {"name": "same", "input": str(photos), "output": "out"}
    assert survey(plan(config(checkpoint_path, same))) == {"same": {None: 4}}
    jpeg = {**same, "name": "jpeg", "format": "jpeg"}
    with pytest.raises(ConfigError) as caught:
        survey(plan(config(checkpoint_path, jpeg)))
    assert caught.value.mistakes == (
        f"batch jpeg: {photos}/a.png and {photos}/a.jpg would both be written to out/a.jpg",
    )
    with pytest.raises(ConfigError) as caught:
        survey(plan(config(checkpoint_path, same, {**same, "name": "again"})))
    assert len(caught.value.mistakes) == 4
    assert all(mistake.startswith("batch again: ") for mistake in caught.value.mistakes)


def test_a_long_list_of_collisions_is_shortened(photos: Path, checkpoint_path: Path) -> None:
    for number in range(30):
        (photos / f"{number}.jpg").touch()
        (photos / f"{number}.png").touch()
    batch = {"name": "x", "input": str(photos), "output": "out", "format": "jpeg"}
    with pytest.raises(ConfigError) as caught:
        survey(plan(config(checkpoint_path, batch)))
    assert len(caught.value.mistakes) == 21
    assert caught.value.mistakes[-1] == "... and 10 more like these"


def test_writing_over_an_input_is_refused(
    photos: Path, checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the folder is spelled differently, and the input does not match the output."""
    monkeypatch.chdir(photos.parent)
    batch = {"name": "x", "input": "photos/a.jpg", "output": str(photos)}
    with pytest.raises(ConfigError) as caught:
        survey(plan(config(checkpoint_path, batch)))
    assert caught.value.mistakes == (
        f"photos/a.jpg would be written over {photos}/a.jpg, which is an input",
    )


def test_writing_over_what_an_input_links_to_is_refused(
    photos: Path, checkpoint_path: Path
) -> None:
    (photos / "best.jpg").symlink_to("below/best.jpg")
    (photos / "below" / "c.jpeg").rename(photos / "below" / "best.jpg")
    batch = {"name": "x", "input": f"{photos}/*.jpg", "output": str(photos / "below")}
    with pytest.raises(ConfigError, match="which is an input"):
        survey(plan(config(checkpoint_path, batch)))


def test_writing_into_another_mount_of_the_input_is_refused(
    photos: Path, checkpoint_path: Path, tmp_path: Path
) -> None:
    mount = tmp_path / "mount"
    with mounted_again(photos, mount):
        for output in (mount, mount / "out"):
            problems = Problems()
            batch = {"name": "x", "input": str(photos), "output": str(output)}
            resolve(config(checkpoint_path, batch), problems)
            [mistake] = problems.found
            assert f"{photos} includes {output}, where batch x writes" in mistake.message
        batch = {"name": "x", "input": f"{photos}/a.jpg", "output": str(mount)}
        with pytest.raises(ConfigError, match=f"would be written over {mount}/a.jpg"):
            survey(plan(config(checkpoint_path, batch)))


def test_writing_into_a_mount_of_a_folder_below_the_input_is_refused(
    photos: Path, checkpoint_path: Path, tmp_path: Path
) -> None:
    mount = tmp_path / "mount"
    with mounted_again(photos / "below", mount):
        batch = {"name": "x", "input": str(photos), "output": str(mount / "out")}
        with pytest.raises(ConfigError, match=f"{photos} includes {mount}/out"):
            survey(plan(config(checkpoint_path, batch)))


def test_two_outputs_on_one_name_are_refused_where_a_volume_ignores_spelling(
    photos: Path, checkpoint_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "A.jpg").touch()
    (photos / "Below").mkdir()
    (photos / "Below" / "c.jpeg").touch()
    (photos / "e\u0301.png").touch()
    (photos / "\u00e9.png").touch()
    out = tmp_path / "out"
    plans = plan(config(checkpoint_path, {"name": "x", "input": str(photos), "output": str(out)}))
    assert survey(plans) == {"x": {None: 6 + 1}}
    ignore_spelling(monkeypatch)
    with pytest.raises(ConfigError) as caught:
        survey(plans)
    assert len(caught.value.mistakes) == 3
    assert (
        f"batch x: {photos}/a.jpg and {photos}/A.jpg would both be written to {out}/a.jpg, which is"
        f" the same file as {out}/A.jpg there"
    ) in caught.value.mistakes
