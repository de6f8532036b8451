"""Tests of estimates: the pixels and the time of a run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.cli.summary import estimate_lines
from stylebeam.pipeline.config.file import load_and_resolve
from stylebeam.pipeline.config.run_config import Batch, RunConfig, RunOptions
from stylebeam.pipeline.methods.contract import Resolved
from stylebeam.pipeline.runs.estimate import Estimate, estimate
from stylebeam.pipeline.runs.planning import BatchPlan, resolve
from tests.helpers.fake_method import FakeMethod


@pytest.mark.slow
def test_the_pixels_of_photos_to_do_are_counted(one_batch: Path, photos: Path) -> None:
    (photos / "bad.jpg").write_text("no image")
    config, plans = load_and_resolve("config.yaml", RunConfig, (), resolve)
    [found] = estimate(config.run, plans).values()
    # Four photos are to do. The one that cannot be read counts like the mean of the others.
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


@dataclass(frozen=True)
class TimedMethod(FakeMethod):
    """A method that takes 8 seconds for an excerpt of a photo."""

    size: int | None = None

    @property
    def short_side(self) -> int | None:
        return self.size

    def measure(self, seconds: Callable[[Resolved, int], float]) -> float:
        assert seconds(self, 2) > 0
        return 8.0


@pytest.mark.parametrize(("size", "part"), [(None, 1.0), (1000, 1.0), (50, 1 / 4)])
def test_the_time_of_a_part_is_scaled_to_all_photos(
    tmp_path: Path, size: int | None, part: float
) -> None:
    for number in range(3):
        Image.new("RGB", (200, 100), "red").save(tmp_path / f"{number}.png")
    batch = Batch.model_construct(name="best", input=str(tmp_path), output=str(tmp_path / "out"))
    plan = BatchPlan(batch, TimedMethod(size=size))
    [found] = estimate(RunOptions(device="cpu"), [plan]).values()
    assert found.pixels == 3 * 200 * 100
    assert found.seconds == pytest.approx(3 * 8 * part)


def test_validate_prints_an_estimate(one_batch: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
