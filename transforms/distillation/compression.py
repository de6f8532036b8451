"""Compression of VGG-19 in closed form, the start of the embedded loss network's training.

Convolution by convolution, the small network is given the weights with which it predicts best what
VGG's convolution returns, from its own features so far (Zhang et al. 2015, "Accelerating Very Deep
Convolutional Networks for Classification and Detection"). Where it has fewer channels it keeps
those of VGG's that best stand for the others.
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

_SAMPLES = 60_000
# Near the border the zeros beyond it play a part.
_BORDER = 4
_LARGEST_BORDER = 1 / 5  # of a side
_RIDGE = 1e-4
_IMAGES_AT_ONCE = 8


@torch.no_grad()
def compress(teacher: LossNetwork, images: Tensor) -> DistilledVgg:
    """Return the embedded network that predicts VGG-19 best, convolution by convolution.

    Its features are in units of their own: each layer's mean square is 1.

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
        rectified = targets.clamp_min(0)
        targets = targets / rectified.square().mean().sqrt()
        if width.channels < targets.shape[1]:
            targets = targets[:, representative_channels(rectified, width.channels)]
        convolution = student.convolutions[name]
        factors = _factors(inputs, targets, width)
        for parameter, its_values in zip(convolution.parameters(), factors, strict=True):
            parameter.copy_(its_values.view_as(parameter))
        values = torch.cat([F.relu(convolution(some)) for some in values.split(_IMAGES_AT_ONCE)])
    return student


def _factors(inputs: Tensor, targets: Tensor, width: Width) -> tuple[Tensor, ...]:
    """Return the weights of a convolution's factors, and its bias."""
    if width.ranks is None:
        return least_squares(inputs, targets)
    input_rank, rank = width.ranks
    projection = input_projection(inputs, targets, input_rank)
    projected = projection @ inputs.unflatten(1, (-1, 9))
    return projection, *reduced_rank_regression(projected.flatten(1), targets, rank)


def _samples(
    teacher: LossNetwork, name: str, images: Tensor, values: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the 3x3 neighbourhoods of random places, and what VGG's convolution returns there.

    Returns:
        float32 of shape (N, 9 C) and (N, C').
    """
    each = -(-_SAMPLES // len(images))
    neighbourhoods, targets = [], []
    for image, features in zip(images.split(1), values.split(1), strict=True):
        target = teacher(image)[name][0].float()
        around = F.unfold(features, 3, padding=1).view(-1, *target.shape[1:])
        border = min(_BORDER, int(_LARGEST_BORDER * min(target.shape[1:])))
        inside = (slice(None), *(slice(border, side - border) for side in target.shape[1:]))
        target, around = target[inside].flatten(1), around[inside].flatten(1)
        places = torch.randperm(target.shape[1], generator=generator)[:each]
        targets.append(target[:, places].T)
        neighbourhoods.append(around[:, places].T)
    return torch.cat(neighbourhoods), torch.cat(targets)


def representative_channels(activations: Tensor, count: int) -> list[int]:
    """Choose the channels from which all channels are best predicted linearly, one by one.

    Args:
        activations: shape (N, C).
        count: how many to choose.

    Returns:
        Their numbers, in order.
    """
    left = (activations.T @ activations).double()
    negligible = 1e-9 * left.diagonal().max()
    chosen: list[int] = []
    for _ in range(count):
        explained = left.square().sum(0) / left.diagonal().clamp_min(negligible)
        explained[chosen] = -1
        best = int(explained.argmax())
        chosen.append(best)
        left = left - torch.outer(left[best], left[best]) / left[best, best].clamp_min(negligible)
    return sorted(chosen)


def least_squares(inputs: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
    """Return the weight, shape (C', C), and bias, shape (C',), that predict targets from inputs.

    Args:
        inputs: shape (N, C).
        targets: shape (N, C').
    """
    mean, target_mean = inputs.mean(0), targets.mean(0)
    centred = inputs - mean
    covariance = (centred.T @ centred).double()
    ridge = _RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance)).to(covariance)
    across = (centred.T @ (targets - target_mean)).double()
    weight = torch.linalg.solve(covariance + ridge, across).T.to(inputs.dtype)
    return weight, target_mean - weight @ mean


def reduced_rank_regression(inputs: Tensor, targets: Tensor, rank: int) -> tuple[Tensor, ...]:
    """Return first, shape (rank, C), second, shape (C', rank), and bias, shape (C',).

    second @ (first @ input) + bias predicts the target with the least square error; what lies
    between the two has unit variance (Izenman 1975, "Reduced-rank regression for the multivariate
    linear model").

    Args:
        inputs: shape (N, C).
        targets: shape (N, C').
        rank: at most C and C'.
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
    """Return the matrix, shape (rank, C), that keeps of each place what the targets depend on most.

    Its rows are, in the metric of the inputs' covariance, the leading singular vectors of the least
    squares weights, unfolded along the input channels (Kim et al. 2016, "Compression of Deep
    Convolutional Neural Networks for Fast and Low Power Mobile Applications").

    Args:
        inputs: 3x3 neighbourhoods of C channels, shape (N, 9 C), the place last.
        targets: shape (N, C').
        rank: at most C.
    """
    weight, _ = least_squares(inputs, targets)
    of_each_place = weight.unflatten(1, (-1, 9)).movedim(1, 2).flatten(0, 1).double()
    middle = inputs[:, 4::9].double()
    variances, directions = torch.linalg.eigh(torch.cov(middle.T))
    deviations = variances.clamp_min(1e-6 * variances.max()).sqrt()
    whitened = of_each_place @ (directions * deviations)
    _, axes = torch.linalg.eigh(whitened.T @ whitened)
    return (axes[:, -rank:].T @ (directions / deviations).T).to(inputs.dtype)
