"""Runs with photos that are too large for the memory limit."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.cli.arguments import main

SIZES = {"a.jpg": (50, 41), "b.png": (33, 64), "below/c.jpeg": (64, 48)}


def run(*settings: str) -> dict[str, str | None]:
    """Run the config and return the error of each photo, None if it was stylized."""
    main(["run", "config.yaml", *(word for setting in settings for word in ("--set", setting))])
    outcomes = {each.input.removeprefix("photos/"): each for each in read_outcomes("out")}
    for name, outcome in outcomes.items():
        if outcome.status == "done":
            with Image.open(outcome.output) as image:
                assert image.size == SIZES[name]
    return {name: outcome.error for name, outcome in outcomes.items()}


def test_a_photo_too_large_even_for_tiles_fails_with_advice(one_batch: Path) -> None:
    errors = run("run.memory=0.00005")
    assert set(errors) == set(SIZES)
    # The memory is that of all photos at once, one on each core.
    cores = torch.get_num_threads()
    memory = "run.memory (5e-05 GB)"
    if cores > 1:
        memory = (
            f"the {5e-5 / cores:.3g} GB of {memory} that each of {cores} images at once may take"
        )
    for error in errors.values():
        assert f"GB, more than {memory}. fast.statistics: thumbnail and" in error


@pytest.mark.slow
def test_a_picture_made_in_tiles_is_nearly_the_same(one_batch: Path) -> None:
    quality = "batches.0.format=png"
    assert not any(run(quality).values())
    whole = {path.name: Image.open(path).tobytes() for path in Path("out").rglob("*.png")}
    # Enough for tiles on each core, but not for a whole photo.
    memory = f"run.memory={4e-4 * torch.get_num_threads()}"
    assert not any(run(quality, "batches.0.overwrite=always", memory).values())
    for path in Path("out").rglob("*.png"):
        pairs = zip(Image.open(path).tobytes(), whole[path.name], strict=True)
        differences = [abs(a - b) for a, b in pairs]
        assert max(differences) <= 24
        assert sum(differences) / len(differences) < 1.5


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["processing_size=64", "statistics=thumbnail"])
def test_options_that_change_pixels_redo_the_outputs(one_batch: Path, setting: str) -> None:
    run()
    assert main(["run", "config.yaml"]) == 0
    assert {each.status for each in read_outcomes("out")} == {"skipped"}
    run(f"batches.0.fast.{setting}")
    assert {each.status for each in read_outcomes("out")} == {"done"}


def test_a_run_prints_what_computes(one_batch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    assert "Networks are computed on the CPU by OpenVINO " in capsys.readouterr().out
