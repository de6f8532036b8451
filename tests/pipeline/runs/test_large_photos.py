"""Runs over photos that are large for the memory that they may take."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.cli.arguments import main

SIZES = {"a.jpg": (50, 41), "b.png": (33, 64), "below/c.jpeg": (64, 48)}


def run(*settings: str) -> dict[str, str | None]:
    """Run the config and return what was wrong with each photo."""
    main(["run", "config.yaml", *(word for setting in settings for word in ("--set", setting))])
    outcomes = {each.input.removeprefix("photos/"): each for each in read_outcomes("out")}
    for name, outcome in outcomes.items():
        if outcome.status == "done":
            with Image.open(outcome.output) as image:
                assert image.size == SIZES[name]
    return {name: outcome.error for name, outcome in outcomes.items()}


def test_a_photo_that_fits_in_no_way_fails_and_says_what_to_do(one_batch: Path) -> None:
    errors = run("run.memory=0.0000001")
    assert set(errors) == set(SIZES)
    for error in errors.values():
        assert "run.memory (0.0 GB). fast.statistics: thumbnail and fast.processing_size" in error


def test_tiles_make_the_same_picture(one_batch: Path) -> None:
    quality = "batches.0.format=png"
    assert not any(run(quality).values())
    whole = {path.name: Image.open(path).tobytes() for path in Path("out").rglob("*.png")}
    # Room for tiles, but not for a whole one, on each core.
    memory = f"run.memory={4e-4 * torch.get_num_threads()}"
    assert not any(run(quality, "batches.0.overwrite=always", memory).values())
    for path in Path("out").rglob("*.png"):
        pairs = zip(Image.open(path).tobytes(), whole[path.name], strict=True)
        differences = [abs(a - b) for a, b in pairs]
        assert max(differences) <= 24
        assert sum(differences) / len(differences) < 1.5


@pytest.mark.parametrize("setting", ["processing_size=64", "statistics=thumbnail"])
def test_what_alters_pixels_is_done_anew(one_batch: Path, setting: str) -> None:
    run()
    assert main(["run", "config.yaml"]) == 0
    assert {each.status for each in read_outcomes("out")} == {"skipped"}
    run(f"batches.0.fast.{setting}")
    assert {each.status for each in read_outcomes("out")} == {"done"}


def test_a_run_says_what_computes(one_batch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    assert "Networks are computed on the CPU by OpenVINO " in capsys.readouterr().out
