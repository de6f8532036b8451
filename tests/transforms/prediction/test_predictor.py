"""Tests of the predictor: it is a bounded function of a painting's statistics."""

import pytest
import torch
from torch import Tensor

from stylebeam.transforms.networks.any_style import COLOR_SIZE, encode_colors
from stylebeam.transforms.prediction.predictor import StylePredictor
from stylebeam.transforms.prediction.statistics import mixed_statistics, stacked_statistics
from tests.helpers.paintings import measured, painting, plain

SIZE = 60
STYLES = torch.randn(5, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def predictor() -> StylePredictor:
    """A predictor that is fitted to some paintings, with random weights."""
    torch.manual_seed(0)
    predictor = StylePredictor(SIZE)
    predictor.fit(stacked_statistics([measured(painting(seed)) for seed in range(6)]), STYLES)
    torch.nn.init.normal_(predictor.last.weight)
    return predictor.eval()


def vector(predictor: StylePredictor, image: Tensor) -> Tensor:
    with torch.no_grad():
        return predictor(measured(image))


def test_a_prediction_depends_on_the_painting_alone(predictor: StylePredictor) -> None:
    one, other = painting(10), painting(11)
    assert torch.equal(vector(predictor, one), vector(predictor, one))
    with torch.no_grad():
        both = predictor(stacked_statistics([measured(one), measured(other)]))
    torch.testing.assert_close(both[:1], vector(predictor, one), atol=1e-4, rtol=0)
    assert (both[0] - both[1]).abs().max() > 0.1


def test_a_prediction_ends_with_the_colors_of_the_painting(predictor: StylePredictor) -> None:
    image = painting(12)
    pixels = image[0].flatten(1)
    colors = encode_colors(pixels.mean(1)[None], torch.cov(pixels, correction=0)[None])
    made = vector(predictor, image)
    torch.testing.assert_close(made[:, -COLOR_SIZE:], colors, atol=1e-4, rtol=0)


def test_predictions_are_near_the_mean_of_known_styles(predictor: StylePredictor) -> None:
    known = STYLES[:, :-COLOR_SIZE]
    torch.testing.assert_close(predictor.middle, known.mean(0))
    for seed in range(20, 25):
        distance = (vector(predictor, painting(seed))[0, :-COLOR_SIZE] - predictor.middle).abs()
        assert (distance <= 3 * predictor.spread * 1.0001).all()


def test_a_painting_mixed_with_itself_has_its_own_style(predictor: StylePredictor) -> None:
    one = measured(painting(13))
    with torch.no_grad():
        mixed = predictor(mixed_statistics([one, one], [0.4, 0.6]))
    torch.testing.assert_close(mixed, vector(predictor, painting(13)), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "image",
    [
        plain(0.0, 0.0, 0.0),
        plain(1.0, 1.0, 1.0),
        plain(0.3, 0.5, 0.1),
        painting(14).mean(1, keepdim=True).expand(-1, 3, -1, -1),
        painting(15, 128, 512),
    ],
    ids=["black", "white", "one color", "gray", "long"],
)
def test_unusual_paintings_have_finite_styles(predictor: StylePredictor, image: Tensor) -> None:
    assert vector(predictor, image).isfinite().all()


@pytest.mark.parametrize("paintings", [[painting(1)], [painting(1)] * 3, [plain(0, 0, 0)] * 2])
def test_paintings_that_are_alike_can_be_fitted_to(paintings: list[Tensor]) -> None:
    predictor = StylePredictor(SIZE).eval()
    predictor.fit(stacked_statistics([measured(each) for each in paintings]), STYLES)
    predictor.load_state_dict({k: v.half().float() for k, v in predictor.state_dict().items()})
    assert vector(predictor, painting(2)).isfinite().all()


def test_fitting_again_leaves_nothing_of_the_first_time(predictor: StylePredictor) -> None:
    fitted = [StylePredictor(SIZE) for _ in range(2)]
    fitted[0].load_state_dict(predictor.state_dict())
    paintings = stacked_statistics([measured(painting(seed)) for seed in (30, 31)])
    for each in fitted:
        each.fit(paintings, STYLES)
    assert torch.equal(fitted[0].components, fitted[1].components)


def test_training_changes_the_perceptron_alone() -> None:
    trained = {name for name, each in StylePredictor(SIZE).named_parameters() if each.requires_grad}
    assert trained == {
        f"{layer}.{part}" for layer in ("first", "second", "last") for part in ("weight", "bias")
    }
