"""Compression of VGG-19 in closed form: the initial weights of the distilled VGG.

For each convolution, from the first to the last, the weights are computed with which the small
network best predicts the output of VGG's convolution from its own features so far (Zhang et al.
2015, "Accelerating Very Deep Convolutional Networks for Classification and Detection"). Where the
small network has fewer channels, it predicts the channels that best represent the others.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.losses.distilled_vgg import (
    WIDTHS,
    DistilledVgg,
    Width,
    halves_the_resolution,
)
from stylebeam.transforms.losses.loss_network import LossNetwork
from stylebeam.transforms.losses.pooling import average_pool
from stylebeam.transforms.losses.vgg import normalize

SAMPLES = 60_000
"""The number of positions that the weights of a convolution are fitted to."""

# Positions near the border are left out: they are influenced by the zero padding.
_BORDER = 4
_LARGEST_BORDER = 1 / 5  # of a side
_RIDGE = 1e-4
_IMAGES_AT_ONCE = 8


@torch.no_grad()
def compress(teacher: LossNetwork, images: Tensor) -> DistilledVgg:
    """Return a distilled VGG with the weights that best predict VGG-19, convolution by convolution.

    Its features are scaled so that the mean square of each layer is 1.

    Args:
        teacher: VGG-19 with the layers `conv*` of `WIDTHS`.
        images: RGB in [0, 1], shape (B, 3, H, W), each side at least 32.
    """
    generator = torch.Generator().manual_seed(0)
    student = DistilledVgg()
    values = normalize(images)
    for name, width in WIDTHS.items():
        if halves_the_resolution(name):
            values = average_pool(values)
        inputs, targets = _samples(teacher, name, images, values, generator)
        activations = targets.clamp_min(0)
        targets = targets / activations.square().mean().sqrt()
        if width.channels < targets.shape[1]:
            targets = targets[:, representative_channels(activations, width.channels)]
        convolution = student.convolutions[name]
        factors = _factors(inputs, targets, width)
        for parameter, its_values in zip(convolution.parameters(), factors, strict=True):
            parameter.copy_(its_values.view_as(parameter))
        values = torch.cat([F.relu(convolution(some)) for some in values.split(_IMAGES_AT_ONCE)])
    return student


def _factors(inputs: Tensor, targets: Tensor, width: Width) -> tuple[Tensor, ...]:
    """Return the weights of the factors of a convolution, and the bias."""
    if width.ranks is None:
        return least_squares(inputs, targets)
    input_rank, rank = width.ranks
    projection = input_projection(inputs, targets, input_rank)
    projected = projection @ inputs.unflatten(1, (-1, 9))
    return projection, *reduced_rank_regression(projected.flatten(1), targets, rank)


def _samples(
    teacher: LossNetwork, name: str, images: Tensor, values: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return 3x3 neighborhoods at random positions, and the output of VGG's convolution there.

    Returns:
        float32 of shape (N, 9 C) and (N, C').
    """
    each = -(-SAMPLES // len(images))
    neighborhoods, targets = [], []
    for image, features in zip(images.split(1), values.split(1), strict=True):
        target = teacher(image)[name][0].float()
        around = F.unfold(features, 3, padding=1).view(-1, *target.shape[1:])
        border = min(_BORDER, int(_LARGEST_BORDER * min(target.shape[1:])))
        inside = (slice(None), *(slice(border, side - border) for side in target.shape[1:]))
        target, around = target[inside].flatten(1), around[inside].flatten(1)
        places = torch.randperm(target.shape[1], generator=generator)[:each]
        targets.append(target[:, places].T)
        neighborhoods.append(around[:, places].T)
    return torch.cat(neighborhoods), torch.cat(targets)


def representative_channels(activations: Tensor, count: int) -> list[int]:
    """Return channels from which all channels are well predicted linearly, chosen greedily.

    Args:
        activations: shape (N, C).
        count: the number of channels to choose.

    Returns:
        The indices of the channels, sorted.
    """
    residual = (activations.T @ activations).double()
    negligible = 1e-9 * residual.diagonal().max()
    chosen: list[int] = []
    for _ in range(count):
        explained = residual.square().sum(0) / residual.diagonal().clamp_min(negligible)
        explained[chosen] = -1
        best = int(explained.argmax())
        chosen.append(best)
        row = residual[best]
        residual = residual - torch.outer(row, row) / row[best].clamp_min(negligible)
    return sorted(chosen)


def least_squares(inputs: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
    """Return the weight, shape (C', C), and bias, shape (C',), that best predict the targets.

    Args:
        inputs: shape (N, C).
        targets: shape (N, C').
    """
    mean, target_mean = inputs.mean(0), targets.mean(0)
    centered = inputs - mean
    covariance = (centered.T @ centered).double()
    ridge = _RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance)).to(covariance)
    across = (centered.T @ (targets - target_mean)).double()
    weight = torch.linalg.solve(covariance + ridge, across).T.to(inputs.dtype)
    return weight, target_mean - weight @ mean


def reduced_rank_regression(inputs: Tensor, targets: Tensor, rank: int) -> tuple[Tensor, ...]:
    """Return the factors of rank `rank` and the bias that best predict the targets.

    second @ (first @ input) + bias predicts the target with the smallest squared error; first @
    input has unit variance (Izenman 1975, "Reduced-rank regression for the multivariate linear
    model").

    Args:
        inputs: shape (N, C).
        targets: shape (N, C').
        rank: at most C and C'.

    Returns:
        first, shape (rank, C), second, shape (C', rank), and the bias, shape (C',).
    """
    weight, bias = least_squares(inputs, targets)
    mean = inputs.mean(0)
    predicted = ((inputs - mean) @ weight.T).double()
    variances, directions = torch.linalg.eigh(predicted.T @ predicted / len(predicted))
    directions = directions[:, -rank:].to(weight.dtype)
    deviations = variances[-rank:].clamp_min(1e-12).sqrt().to(weight.dtype)
    first = (directions.T @ weight) / deviations[:, None]
    second = directions * deviations
    return first, second, bias + weight @ mean - second @ (first @ mean)


def input_projection(inputs: Tensor, targets: Tensor, rank: int) -> Tensor:
    """Return the projection, shape (rank, C), of the channels on which the targets depend most.

    Its rows are the leading singular vectors of the least squares weights, unfolded along the input
    channels, in the metric of the covariance of the inputs (Kim et al. 2016, "Compression of Deep
    Convolutional Neural Networks for Fast and Low Power Mobile Applications").

    Args:
        inputs: 3x3 neighborhoods of C channels, shape (N, 9 C), the position last.
        targets: shape (N, C').
        rank: at most C.
    """
    weight, _ = least_squares(inputs, targets)
    per_position = weight.unflatten(1, (-1, 9)).movedim(1, 2).flatten(0, 1).double()
    middle = inputs[:, 4::9].double()
    variances, directions = torch.linalg.eigh(torch.cov(middle.T))
    deviations = variances.clamp_min(1e-6 * variances.max()).sqrt()
    whitened = per_position @ (directions * deviations)
    _, axes = torch.linalg.eigh(whitened.T @ whitened)
    return (axes[:, -rank:].T @ (directions / deviations).T).to(inputs.dtype)
