"""The network that predicts a style's vector from the statistics of its painting."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.losses.distilled_vgg import channels_of
from stylebeam.transforms.networks.any_style import COLOR_SIZE, encode_colors
from stylebeam.transforms.prediction.statistics import (
    HISTOGRAM_SIDE,
    LAYERS,
    FeatureMoments,
    PaintingStatistics,
)

STYLE_PREDICTOR = "style_predictor"
"""The name that a checkpoint of a predictor has as its network."""

_SKETCH = 24  # Directions in which the features of a layer are measured.
_COMPONENTS = 128  # Principal components of the measurements, over the paintings of the training.
_HIDDEN = 256
_DROPOUT = 0.1
_SMALLEST_VARIANCE = 1e-3  # of features, relative to the mean square of all
# How far a prediction can be from the mean of known styles, in standard deviations. The network
# normalizes its features, so the scale of a vector hardly matters: without a bound, it would grow
# during the whole training.
_REACH = 3.0
# Divisors and arguments of logarithms are at least this.
_TINY = 1e-12
# Mean, standard deviations, correlations and histogram of the colors.
_COLOR_MEASUREMENTS = 3 + 3 + 3 + HISTOGRAM_SIDE**3


class StylePredictor(nn.Module):
    """Fixed measurements of a painting's statistics, then a multilayer perceptron.

    In each layer, it measures the mean, the standard deviation and the correlations of features in
    the directions in which paintings have the largest features. Of the colors, it measures the
    mean, the standard deviation, the correlations and the histogram. The perceptron takes the
    principal components of all measurements. `fit` computes directions and components from
    paintings; training changes the perceptron alone.

    The last COLOR_SIZE numbers of a vector are not predicted: they are the painting's own colors.

    Attributes:
        style_size: the length of an `AnyStyleNetwork`'s vectors.
    """

    center: Tensor
    components: Tensor
    middle: Tensor
    spread: Tensor

    def __init__(self, style_size: int) -> None:
        """Build the network with random weights.

        Args:
            style_size: the length of an `AnyStyleNetwork`'s vectors.
        """
        super().__init__()
        self.style_size = style_size
        size = style_size - COLOR_SIZE
        self.bases = nn.ParameterDict(
            {
                layer: nn.Parameter(torch.eye(channels)[:, :_SKETCH], requires_grad=False)
                for layer, channels in zip(LAYERS, map(channels_of, LAYERS), strict=True)
            }
        )
        measurements = 2 * sum(map(_measurements, LAYERS)) + _COLOR_MEASUREMENTS
        self.register_buffer("center", torch.zeros(measurements))
        self.register_buffer("components", torch.zeros(measurements, _COMPONENTS))
        self.register_buffer("middle", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))
        self.first = nn.Linear(_COMPONENTS, _HIDDEN)
        self.second = nn.Linear(_HIDDEN, _HIDDEN)
        self.last = nn.Linear(_HIDDEN, size)
        nn.init.normal_(self.last.weight, std=0.02)
        nn.init.zeros_(self.last.bias)

    def forward(self, paintings: PaintingStatistics) -> Tensor:
        """Return the vectors of N paintings, shape (N, style_size), for an `AnyStyleNetwork`."""
        x = (self._measure(paintings) - self.center) @ self.components
        x = F.dropout(x.clamp(-4, 4), _DROPOUT, self.training)
        x = F.gelu(self.first(x))
        x = x + F.gelu(self.second(F.dropout(x, _DROPOUT, self.training)))
        bounded = self.middle + _REACH * self.spread * torch.tanh(self.last(x))
        colors = encode_colors(paintings.colors.mean, paintings.colors.covariance)
        return torch.cat([bounded, colors.to(bounded)], 1)

    @torch.no_grad()
    def fit(self, paintings: PaintingStatistics, styles: Tensor) -> None:
        """Set what training does not change.

        Args:
            paintings: the statistics of the training's paintings; at least one.
            styles: vectors of known styles, shape (N, style_size), at least two. Predictions are
                near their mean.
        """
        for layer, basis in self.bases.items():
            grams = paintings.whole.grams[layer].double()
            # All paintings count alike, however large their features are.
            grams = grams / grams.diagonal(dim1=1, dim2=2).sum(1).clamp_min(_TINY)[:, None, None]
            basis.copy_(torch.linalg.eigh(grams.mean(0)).eigenvectors.flip(1)[:, :_SKETCH])
        measured = self._measure(paintings).double()
        self.center.copy_(measured.mean(0))
        # Paintings that are alike, or a single one, must not give components beyond float16.
        freedom = max(1, len(measured) - 1)
        deviation = measured.std(0, correction=len(measured) - freedom)
        scale = 1 / (deviation + 0.1 * deviation.mean()).clamp_min(1e-3)
        _, strengths, axes = torch.linalg.svd((measured - measured.mean(0)) * scale, False)
        count = min(_COMPONENTS, len(strengths))
        strengths = strengths[:count] / freedom**0.5
        # Weak components are mostly noise, so they are not scaled to the size of strong ones.
        size = (strengths + 0.2 * strengths[0]).clamp_min(0.1)
        self.components.zero_()
        self.components[:, :count] = 2 * scale[:, None] * axes[:count].mT / size
        vectors = styles[:, : len(self.middle)]
        self.middle.copy_(vectors.mean(0))
        self.spread.copy_(vectors.std(0) + 0.2 * vectors.std(0).mean())

    def _measure(self, paintings: PaintingStatistics) -> Tensor:
        """Return the measurements of N paintings, shape (N, M)."""
        features = [
            self._measure_layer(layer, moments)
            for moments in (paintings.whole, paintings.half)
            for layer in LAYERS
        ]
        colors = paintings.colors
        return torch.cat(
            [
                *features,
                colors.mean,
                *_deviation_and_correlations(colors.covariance + 1e-5 * _identity(colors.mean)),
                colors.histogram.sqrt(),
            ],
            1,
        )

    def _measure_layer(self, layer: str, moments: FeatureMoments) -> Tensor:
        """Return the measurements of a layer, shape (N, `_measurements(layer)`)."""
        basis = self.bases[layer]
        mean = moments.means[layer] @ basis
        # Gram matrices are divided by the number of channels.
        second = len(basis) * (basis.mT @ moments.grams[layer] @ basis)
        variances = second.diagonal(dim1=1, dim2=2)
        size = variances.sum(1, keepdim=True).clamp_min(_TINY).sqrt()
        covariance = second - mean[:, :, None] * mean[:, None]
        noise = _SMALLEST_VARIANCE * size.square()[:, :, None] * _identity(mean)
        deviation, correlations = _deviation_and_correlations(covariance + noise)
        return torch.cat([size.log(), mean / size, deviation - size.log(), correlations], 1)


def _measurements(layer: str) -> int:
    """Return how many measurements there are of a layer at one size."""
    size = min(_SKETCH, channels_of(layer))
    return 1 + 2 * size + size * (size - 1) // 2


def _identity(vectors: Tensor) -> Tensor:
    return torch.eye(vectors.shape[1]).to(vectors)


def _deviation_and_correlations(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return standard deviations, as logarithms, and correlations.

    Args:
        covariance: shape (N, C, C).

    Returns:
        Shapes (N, C) and (N, C (C - 1) / 2).
    """
    deviation = covariance.diagonal(dim1=1, dim2=2).clamp_min(_TINY).sqrt()
    correlations = covariance / (deviation[:, :, None] * deviation[:, None])
    channels = covariance.shape[1]
    rows, columns = torch.triu_indices(channels, channels, offset=1)
    return deviation.log(), correlations[:, rows, columns]
