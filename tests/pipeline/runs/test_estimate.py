"""What a run would take: known answers."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stylebeam.pipeline.methods.paintings import GatysChoice, KnownFile
from torch import Tensor

from stylebeam.pipeline.archive.records import Recipe
from stylebeam.pipeline.beam.model_handler import Effect, StylizerPool
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.cli.summary import estimate_lines
from stylebeam.pipeline.config.file import load_and_resolve
from stylebeam.pipeline.config.run_config import Batch, RunConfig, RunOptions
from stylebeam.pipeline.runs import estimate as module
from stylebeam.pipeline.runs.estimate import Estimate, estimate
from stylebeam.pipeline.runs.planning import BatchPlan, resolve
from stylebeam.pipeline.runs.sampling import evenly
from stylebeam.transforms.gatys.settings import OptimizationSettings


@pytest.mark.parametrize(
    ("count", "most", "kept"),
    [
        (0, 4, []),
        (3, 4, [0, 1, 2]),
        (4, 4, [0, 1, 2, 3]),
        (5, 4, [0, 1, 2, 3]),
        (8, 4, [0, 2, 4, 6]),
        (9, 4, [0, 2, 4, 6]),
        (16, 4, [0, 4, 8, 12]),
        (17, 4, [0, 4, 8, 12]),
        (1000, 3, [0, 256, 512]),
    ],
)
def test_a_few_are_evenly_spread(count: int, most: int, kept: list[int]) -> None:
    assert evenly(iter(range(count)), most) == (kept, count)


def test_pixels_are_those_of_what_is_to_do(one_batch: Path, photos: Path) -> None:
    (photos / "bad.jpg").write_text("no image")
    config, plans = load_and_resolve("config.yaml", RunConfig, (), resolve)
    [found] = estimate(config.run, plans).values()
    # Four are to be done, of which one cannot be read and counts as the others do.
    assert found.pixels == pytest.approx((50 * 41 + 33 * 64 + 64 * 48) / 3 * 4)
    assert found.seconds > 0
    assert main(["run", "config.yaml"]) == 3
    (photos / "a.jpg").touch()
    Image.new("RGB", (10, 20)).save(photos / "new.png")
    (photos / "bad.jpg").unlink()
    [found] = estimate(config.run, plans).values()
    assert found.pixels == pytest.approx(10 * 20 + 50 * 41)


def test_a_batch_without_photos_is_left_out(one_batch: Path, photos: Path) -> None:
    for path in photos.rglob("*.*"):
        path.unlink()
    config, plans = load_and_resolve("config.yaml", RunConfig, (), resolve)
    assert estimate(config.run, plans) == {}


class Clock:
    """A clock that an optimisation moves on: seconds for the start, and for each evaluation."""

    def __init__(self) -> None:
        self.now = 0.0
        self._lock = threading.Lock()

    def perf_counter(self) -> float:
        return self.now

    def load(self, of: Recipe) -> Effect:
        assert isinstance(of.choice, GatysChoice)
        recipe = of.choice.recipe

        def stylize(photos: Sequence[Tensor], _of: Recipe) -> list[Tensor]:
            assert photos[0].shape == (3, 100, 200)
            with self._lock:
                self.now += (
                    7
                    + 2 * recipe.iterations
                    + (recipe.finish != "none") * (5 * recipe.finish_iterations)
                )
            return list(photos)

        return Effect(stylize, lambda _: 1)


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({"iterations": 100, "levels": 1}, 7 + 2 * 100),
        ({"iterations": 80, "levels": 2}, 7 + 2 * 80 * 1.125),
        ({"iterations": 10, "levels": 1, "finish": "vgg19", "finish_iterations": 30}, 7 + 20 + 150),
        ({"iterations": 100, "levels": 1, "size": 50}, (7 + 2 * 100) / 4),
    ],
)
def test_an_optimisation_is_estimated_from_a_few_evaluations(
    tmp_path: Path, options: dict[str, Any], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(StylizerPool, "_load", clock.load)
    monkeypatch.setattr(module, "time", clock)
    for number in range(3):
        Image.new("RGB", (200, 100)).save(tmp_path / f"{number}.png")
    painting = KnownFile("painting.jpg", "digest")
    choice = GatysChoice(OptimizationSettings(**options), ((painting, 1.0),), (), None, 1)
    batch = Batch.model_construct(name="best", input=str(tmp_path), output=str(tmp_path / "out"))
    [found] = estimate(RunOptions(device="cpu"), [BatchPlan(batch, choice)]).values()
    assert found.pixels == 3 * 200 * 100
    assert found.seconds == pytest.approx(3 * seconds)


def test_validate_says_what_a_run_would_take(
    one_batch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", "config.yaml"]) == 0
    assert "all: 0.0 megapixels to do, about 0 s on this machine.\n" in capsys.readouterr().out
    assert main(["validate", "config.yaml", "--quick"]) == 0
    assert "megapixels" not in capsys.readouterr().out


def test_all_batches_are_summed_up() -> None:
    estimates = {"one": Estimate(2e6, 100.0), "two": Estimate(3.5e9, 20.0)}
    assert list(estimate_lines(estimates)) == [
        "one: 2.0 megapixels to do, about 1 min 40 s on this machine.",
        "two: 3,500.0 megapixels to do, about 20 s on this machine.",
        "All batches: 3,502.0 megapixels to do, about 2 min 0 s on this machine.",
    ]
