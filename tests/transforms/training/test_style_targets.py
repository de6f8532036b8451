"""Tests of what a training compares pictures with."""

import torch

from stylebeam.transforms.training.data import Draw
from stylebeam.transforms.training.style_targets import as_float, collage, halved, target_of
from tests.helpers.paintings import PixelNetwork, painting, plain


def test_a_collage_has_the_colors_of_both_paintings() -> None:
    targets = [target_of(PixelNetwork(), plain(*color)) for color in ((1, 0, 0), (0, 0, 1))]
    parts = set()
    for number in range(20):
        made = collage(targets, Draw(0, number))
        blue = made.statistics.colors.mean[0, 2].item()
        for colors in made.colors.of_scale:
            assert len(colors) >= 64
            assert abs(colors[:, 2].mean().item() - blue) < 0.01
        parts.add(round(blue, 2))
    assert len(parts) > 5
    assert min(parts) >= 0
    assert max(parts) <= 1


def test_a_collage_depends_only_on_the_random_numbers() -> None:
    targets = [target_of(PixelNetwork(), painting(seed)) for seed in range(3)]
    one, again = collage(targets, Draw(0, 5)), collage(targets, Draw(0, 5))
    assert all(map(torch.equal, one.colors.of_scale, again.colors.of_scale))
    assert torch.equal(one.statistics.colors.histogram, again.statistics.colors.histogram)


def test_features_are_kept_in_half_precision() -> None:
    target = target_of(PixelNetwork(), painting(1))
    small = halved(target).statistics
    assert small.whole.grams["relu3_1"].dtype == torch.float16
    assert small.half.means["relu3_1"].dtype == torch.float16
    assert small.colors.mean.dtype == torch.float32
    torch.testing.assert_close(as_float(small), target.statistics, atol=1e-3, rtol=1e-3)
