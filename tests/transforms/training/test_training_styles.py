"""Tests of the styles that the crops of a training have."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from stylebeam.transforms.prediction.statistics import at_style_size
from stylebeam.transforms.training import training_styles
from stylebeam.transforms.training.any_style_config import AnyStyleTrainingConfig
from stylebeam.transforms.training.training_styles import TrainingStyles
from tests.helpers.paintings import PixelNetwork

ABOUT = {"artist": "", "title": "", "year": "", "source": ""}


@pytest.fixture
def paintings(
    tmp_path: Path, gradient: Callable[[int, int], Image.Image], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder of three paintings, which are measured at a small size."""
    monkeypatch.setattr(
        training_styles, "at_style_size", lambda painting: at_style_size(painting, 128)
    )
    gradient(150, 140).save(tmp_path / "one.png")
    gradient(140, 200).rotate(90).save(tmp_path / "two.png")
    Image.new("RGB", (3, 200), (10, 200, 60)).save(tmp_path / "three.png")
    return tmp_path


def styles_of(paintings: Path, **more: object) -> TrainingStyles:
    """Return the styles of a training with two named styles, one of them four times as often."""
    config = AnyStyleTrainingConfig.model_validate(
        {
            "paintings": paintings,
            "content_images": "photos",
            "output": "a.safetensors",
            "predictor": "b.safetensors",
            "styles": {
                "one": {"painting": "one.png", "weight": 4.0, **ABOUT},
                "three": {"painting": "three.png", **ABOUT},
            },
            "variants": 2,
            **more,
        }
    )
    return TrainingStyles(config, PixelNetwork(), torch.device("cpu"), lambda line: None)


def test_the_style_of_a_crop_depends_only_on_the_seed_and_its_number(paintings: Path) -> None:
    styles = styles_of(paintings)
    together, later = styles.batch(0, 12), styles.batch(8, 4)
    assert torch.equal(together.named[8:], later.named)
    for one, other in zip(together.targets[8:], later.targets, strict=True):
        assert torch.equal(one.statistics.colors.mean, other.statistics.colors.mean)
        assert all(map(torch.equal, one.colors.of_scale, other.colors.of_scale))
    assert not torch.equal(
        styles_of(paintings, seed=1).batch(0, 40).named, styles.batch(0, 40).named
    )


def test_named_styles_have_their_share_of_the_crops(paintings: Path) -> None:
    styles = styles_of(paintings, share_of_styles=0.75)
    batch = styles.batch(0, 400)
    parts = [(batch.named == index).float().mean().item() for index in (-1, 0, 1)]
    assert parts == pytest.approx([0.25, 0.6, 0.15], abs=0.06)
    for target, index in zip(batch.targets, batch.named, strict=True):
        assert index < 0 or target is styles.named[index]


def test_without_a_share_all_crops_are_of_any_painting(paintings: Path) -> None:
    assert (styles_of(paintings, share_of_styles=0.0).batch(0, 20).named == -1).all()
    assert (styles_of(paintings, styles={}).batch(0, 20).named == -1).all()


def test_held_out_paintings_are_not_trained_on(paintings: Path) -> None:
    styles = styles_of(paintings, held_out_paintings=["t*.png"], styles={}, variants=1)
    assert len(styles.held_out) == 2
    assert styles.statistics().colors.mean.shape == (1, 3)


def test_large_paintings_are_reduced(paintings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_styles, "_LARGEST_PAINTING", 100)
    sizes = []

    def seen(painting: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(painting.shape[2:]))
        return at_style_size(painting, 128)

    monkeypatch.setattr(training_styles, "at_style_size", seen)
    styles_of(paintings, styles={}, variants=1)
    assert sorted(sizes) == [(100, 107), (142, 100), (200, 3)]
