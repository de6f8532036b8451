"""Tests of the statistics of paintings against known answers."""

import pytest
import torch

from stylebeam.transforms.losses.functional import gram_matrix
from stylebeam.transforms.prediction.statistics import (
    LAYERS,
    STYLE_SIZE,
    at_style_size,
    feature_moments,
    measure_painting,
    mixed_statistics,
    stacked_statistics,
)
from tests.helpers.paintings import PixelNetwork, painting, plain, shipped_network

PIXELS = PixelNetwork()


def test_the_colors_of_two_halves() -> None:
    red, blue = plain(1.0, 0.0, 0.0), plain(0.0, 0.0, 1.0)
    colors = measure_painting(PIXELS, torch.cat([red, blue], 3)).colors
    torch.testing.assert_close(colors.mean, torch.tensor([[0.5, 0.0, 0.5]]))
    expected = torch.tensor([[[0.25, 0.0, -0.25], [0.0, 0.0, 0.0], [-0.25, 0.0, 0.25]]])
    torch.testing.assert_close(colors.covariance, expected)
    histogram = colors.histogram.view(6, 6, 6)
    assert histogram[5, 0, 0] == histogram[0, 0, 5] == 0.5


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_histogram_sums_to_1_and_has_the_mean_color(seed: int) -> None:
    colors = measure_painting(PIXELS, painting(seed)).colors
    assert colors.histogram.sum().item() == pytest.approx(1, abs=1e-4)
    of_red = colors.histogram.view(6, 36).sum(1) @ torch.linspace(0, 1, 6)
    assert of_red.item() == pytest.approx(colors.mean[0, 0].item(), abs=1e-4)


def test_a_color_between_two_bins_is_shared() -> None:
    histogram = measure_painting(PIXELS, plain(0.3, 1.0, 0.0)).colors.histogram.view(6, 6, 6)
    torch.testing.assert_close(histogram[:3, 5, 0], torch.tensor([0.0, 0.5, 0.5]))


def test_the_gram_matrix_of_a_constant_painting() -> None:
    color = torch.tensor([0.2, 0.4, 0.8])
    statistics = measure_painting(PIXELS, plain(*color.tolist()))
    for moments in (statistics.whole, statistics.half):
        torch.testing.assert_close(moments.means["relu3_1"][0], color)
        torch.testing.assert_close(moments.grams["relu3_1"][0], torch.outer(color, color) / 3)


def test_the_statistics_of_a_collage_are_a_mean() -> None:
    """Exact for colors and features of single pixels; features of areas differ at the seam."""
    one, other = painting(1, 128, 192), painting(2, 128, 64)
    measured = [measure_painting(PIXELS, each) for each in (one, other)]
    mixed = mixed_statistics(measured, [0.75, 0.25])
    whole = measure_painting(PIXELS, torch.cat([one, other], 3))
    torch.testing.assert_close(mixed.colors, whole.colors)
    torch.testing.assert_close(mixed.whole, whole.whole)


def test_a_painting_mixed_with_itself_is_itself() -> None:
    one = measure_painting(shipped_network(), painting(3))
    torch.testing.assert_close(mixed_statistics([one, one], [0.3, 0.7]), one)


def test_readouts_are_applied_to_means_and_gram_matrices() -> None:
    network, image = shipped_network(), painting(4)
    features = network(image, LAYERS)
    moments = feature_moments(network, image)
    assert list(moments.means) == list(features)
    for layer in LAYERS:
        readout = network.readout(layer)
        read = features[layer]
        if readout is not None:
            read = torch.einsum("ij,bjhw->bihw", readout, read)
        torch.testing.assert_close(moments.means[layer], read.mean((2, 3)), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(moments.grams[layer], gram_matrix(read), atol=1e-5, rtol=1e-4)


def test_paintings_can_be_stacked() -> None:
    both = [measure_painting(PIXELS, painting(seed)) for seed in (1, 2)]
    stacked = stacked_statistics(both)
    assert torch.equal(stacked.colors.mean[1], both[1].colors.mean[0])
    assert stacked.whole.grams["relu1_1"].shape == (2, 3, 3)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((300, 400), (512, 683)),
        ((1, 1), (512, 512)),
        ((3, 2), (768, 512)),
        ((30, 9000), (512, 2048)),
        ((5000, 20), (2048, 512)),
    ],
)
def test_the_size_at_which_a_painting_is_measured(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert at_style_size(torch.rand(1, 3, *size)).shape[2:] == expected
    assert min(expected) == STYLE_SIZE


def test_the_middle_of_a_very_long_painting_is_measured() -> None:
    long = torch.zeros(1, 3, 10, 1000)
    long[..., 480:520] = 1
    assert at_style_size(long, 128).min() == 1
