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

_SKETCH = 24  # Directions in which the features of a layer are measured.
_COMPONENTS = 128  # Principal components of the measurements, over the paintings of the training.
_HIDDEN = 256
_DROPOUT = 0.1
_SMALLEST_DEVIATION = 1e-3  # Relative to the largest, of a layer's features.
# How far a prediction can be from the mean of the trained styles, in their standard deviations.
# Normalizations make the scale of a vector nearly free, so that without a bound it grows and grows.
_REACH = 3.0


class StylePredictor(nn.Module):
    """A few fixed measurements of a painting's statistics, then a multilayer perceptron.

    Of the features of each layer, it measures mean, deviation and correlations in the directions
    that differ most over paintings, and of the colors mean, deviation, correlation and histogram;
    then their principal components. `fit` fixes these; the perceptron is trained.

    Attributes:
        style_size: the length of a vector of `AnyStyleNetwork`.
    """

    def __init__(self, style_size: int) -> None:
        """Build the network with random weights.

        Args:
            style_size: the length of a vector of `AnyStyleNetwork`.
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
        """Return the vectors of N paintings, shape (N, style_size)."""
        x = (self._measure(paintings) - self.center) @ self.components
        x = F.dropout(x.clamp(-4, 4), _DROPOUT, self.training)
        x = F.gelu(self.first(x))
        x = x + F.gelu(self.second(F.dropout(x, _DROPOUT, self.training)))
        bounded = self.middle + _REACH * self.spread * torch.tanh(self.last(x))
        colors = encode_colors(paintings.colors.mean, paintings.colors.covariance)
        return torch.cat([bounded, colors.to(bounded)], 1)

    @torch.no_grad()
    def fit(self, paintings: PaintingStatistics, styles: Tensor) -> None:
        """Fix the measurements for a training.

        Args:
            paintings: the statistics of the training's paintings.
            styles: vectors of some styles, shape (N, style_size); predictions are around them.
        """
        for layer, basis in self.bases.items():
            grams = paintings.whole.grams[layer].double()
            # Each painting counts alike, however strong its features are.
            grams = grams / grams.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
            basis.copy_(torch.linalg.eigh(grams.mean(0)).eigenvectors.flip(1)[:, :_SKETCH])
        measured = self._measure(paintings).double()
        self.center.copy_(measured.mean(0))
        deviation = measured.std(0)
        scale = 1 / (deviation + 0.1 * deviation.mean())
        _, strengths, axes = torch.linalg.svd((measured - measured.mean(0)) * scale, False)
        count = min(_COMPONENTS, len(strengths))
        strengths = strengths[:count] / (len(measured) - 1) ** 0.5
        # Weak components are noise for the most part: they are not enlarged to the size of others.
        size = strengths + 0.2 * strengths[0]
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
        basis = self.bases[layer]
        mean = moments.means[layer] @ basis
        # A Gram matrix is divided by the number of channels too.
        second = len(basis) * (basis.mT @ moments.grams[layer] @ basis)
        variances = second.diagonal(dim1=1, dim2=2)
        size = variances.sum(1, keepdim=True).sqrt()
        covariance = second - mean[:, :, None] * mean[:, None]
        noise = _SMALLEST_DEVIATION * size.square()[:, :, None] * _identity(mean)
        deviation, correlations = _deviation_and_correlations(covariance + noise)
        return torch.cat([size.log(), mean / size, deviation - size.log(), correlations], 1)


def _measurements(layer: str) -> int:
    size = min(_SKETCH, channels_of(layer))
    return 1 + 2 * size + size * (size - 1) // 2


_COLOR_MEASUREMENTS = 3 + 3 + 3 + HISTOGRAM_SIDE**3


def _identity(vectors: Tensor) -> Tensor:
    return torch.eye(vectors.shape[1]).to(vectors)


def _deviation_and_correlations(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logarithms of deviations, (N, C), and correlations, (N, C (C - 1) / 2)."""
    deviation = covariance.diagonal(dim1=1, dim2=2).clamp_min(1e-12).sqrt()
    correlations = covariance / (deviation[:, :, None] * deviation[:, None])
    rows, columns = torch.triu_indices(*covariance.shape[1:], offset=1)
    return deviation.log(), correlations[:, rows, columns]
