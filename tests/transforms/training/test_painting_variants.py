"""Tests of the variants of paintings."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from stylebeam.transforms.training.data import Draw, TrainingImages
from stylebeam.transforms.training.painting_variants import _with_colors_of, variant
from tests.helpers.paintings import painting, plain


@pytest.fixture
def paintings(tmp_path: Path, gradient: Callable[[int, int], Image.Image]) -> TrainingImages:
    gradient(140, 150).save(tmp_path / "one.png")
    Image.new("RGB", (8, 5), (200, 30, 30)).save(tmp_path / "red.png")
    return TrainingImages([tmp_path / "one.png", tmp_path / "red.png"])


def test_variants_depend_only_on_the_painting_and_the_random_numbers(
    paintings: TrainingImages,
) -> None:
    image = painting(1, 200, 300)
    made = [variant(image, paintings, Draw(7, number)) for number in range(12)]
    again = variant(image, paintings, Draw(7, 3))
    assert torch.equal(made[3], again)
    assert len({tuple(each.shape) for each in made}) > 6
    for each in made:
        assert 288 <= min(each.shape[2:]) <= 512
        assert each.min() >= 0
        assert each.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (40, 33)])
def test_small_and_long_paintings_have_variants(paintings: TrainingImages, size: tuple) -> None:
    for number in range(12):
        made = variant(torch.rand(1, 3, *size), paintings, Draw(1, number))
        assert made.isfinite().all()
        assert max(made.shape[2:]) <= 4 * min(made.shape[2:]) + 1


def test_colors_are_those_of_another_painting() -> None:
    one, other = painting(2), 0.5 + 0.3 * (painting(5) - 0.5)
    made = _with_colors_of(one, other)
    pixels, others = made[0].flatten(1), other[0].flatten(1)
    torch.testing.assert_close(pixels.mean(1), others.mean(1), atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.cov(pixels), torch.cov(others), atol=3e-3, rtol=0)


def test_a_painting_of_one_color_can_take_and_lend_colors() -> None:
    red = plain(0.8, 0.1, 0.1)
    for made in (_with_colors_of(red, painting(1)), _with_colors_of(painting(1), red)):
        assert made.isfinite().all()
