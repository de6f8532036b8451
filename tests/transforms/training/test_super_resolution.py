"""Tests of trainings for super-resolution: they learn, and refuse values that cannot be used."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from stylebeam.transforms.checkpoints import parse_checkpoint
from stylebeam.transforms.inference.super_resolution import SuperResolutionEngine
from stylebeam.transforms.training import loop
from stylebeam.transforms.training.loop_config import ConfigValueError
from stylebeam.transforms.training.super_resolution import (
    SuperResolutionTrainingConfig,
    train_super_resolution,
)


@pytest.fixture
def config(
    tmp_path: Path, gradient: Callable[[int, int], Image.Image]
) -> SuperResolutionTrainingConfig:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        gradient(60 + number, 50).save(tmp_path / "photos" / f"{number}.png")
    return SuperResolutionTrainingConfig(
        content_images=tmp_path / "photos",
        output=tmp_path / "x2.safetensors",
        factor=2,
        crop_size=32,
        batch_size=4,
        iterations=4,
        device="cpu",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"distance": "charbonnier"},
        {"distance": "msce"},
        {"pixel_weight": 0.0, "feature_weights": {"relu2_1": 1.0}},
    ],
)
def test_the_loss_falls_and_a_checkpoint_is_written(
    config: SuperResolutionTrainingConfig,
    change: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "ITERATIONS_PER_REPORT", 1)
    lines: list[str] = []
    longer = config.model_copy(update={**change, "iterations": 30})
    train_super_resolution(longer, lines.append)
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
    assert sum(losses[-8:]) < sum(losses[:8])
    read = parse_checkpoint(config.output.read_bytes())
    assert read.training["content_images"] == "3 photographs"
    assert read.training["iterations"] == 30
    assert "/" not in str(read.training)
    assert SuperResolutionEngine(read, torch.device("cpu")).scale == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"content_images": Path("nowhere")}, "no images in nowhere"),
        ({"feature_weights": {"relu9_9": 1.0}}, "feature_weights: .* no layer relu9_9"),
    ],
)
def test_values_that_cannot_be_used_are_refused(
    config: SuperResolutionTrainingConfig, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigValueError, match=message):
        train_super_resolution(config.model_copy(update=change), print)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_weight": 0.0}, "must be above 0"),
        ({"crop_size": 33}, "crop_size must be a multiple of 2"),
        ({"factor": 3}, "2, 4 or 8"),
        ({"upsampling": "bicubic"}, "'transposed', 'nearest' or"),
    ],
)
def test_invalid_values_are_refused(
    config: SuperResolutionTrainingConfig, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        SuperResolutionTrainingConfig(**{**config.model_dump(), **change})
