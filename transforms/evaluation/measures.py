"""What people see in a stylized picture, in numbers."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from stylebeam.transforms.evaluation.lightness_and_palette import palette_distance, tone
from stylebeam.transforms.evaluation.metrics import sharpness
from stylebeam.transforms.losses.functional import grid_loss
from stylebeam.transforms.losses.perceptual import PerceptualLoss, Targets

Losses = Mapping[str, PerceptualLoss]
"""Perceptual losses by the name of their loss network. The first one measures the content."""

MIN_SIDE = 32
"""The shortest side of a picture, in pixels, that can be measured."""


class PhotoTarget(NamedTuple):
    """A photo that pictures are compared with.

    Attributes:
        image: RGB in [0, 1], shape (1, 3, H, W).
        features: by loss network and layer.
    """

    image: Tensor
    features: Mapping[str, Targets]


class PaintingTarget(NamedTuple):
    """A painting that pictures are compared with.

    Attributes:
        image: RGB in [0, 1], shape (1, 3, H, W); not constant.
        style: the `style_targets` by loss network.
    """

    image: Tensor
    style: Mapping[str, Targets]


@torch.no_grad()
def photo_target(image: Tensor, losses: Losses) -> PhotoTarget:
    """Return what pictures of a photo are compared with.

    Args:
        image: RGB in [0, 1], shape (1, 3, H, W), each side at least 32; not constant.
        losses: the losses that `measure_picture` will use.
    """
    return PhotoTarget(image, {name: loss.network(image) for name, loss in losses.items()})


def painting_target(image: Tensor, losses: Losses) -> PaintingTarget:
    """Return what pictures in the style of a painting are compared with.

    Args:
        image: RGB in [0, 1], shape (1, 3, H, W); not constant.
        losses: the losses that `measure_picture` will use.
    """
    return PaintingTarget(
        image, {name: loss.style_targets([image]) for name, loss in losses.items()}
    )


@torch.no_grad()
def measure_picture(
    picture: Tensor, photo: PhotoTarget, painting: PaintingTarget, losses: Losses
) -> dict[str, float]:
    """Return the measures of a stylized picture, by name.

    - content: the content loss.
    - style left, by loss network: the style loss, divided by the style loss of the photo itself;
      0 for a picture with the painting's style, 1 for a picture with no more of it than the photo.
    - tone: see `tone`.
    - palette: see `palette_distance`.
    - sharpness: relative to the photo's, see `sharpness`.
    - grid: the amplitude of patterns that repeat every 4 pixels, in levels of 255; computed from
      `grid_loss` as if they were a single cosine.

    Args:
        picture: RGB in [0, 1], of the photo's shape, on the device of the losses.
        photo: of which the picture was made.
        painting: in whose style.
        losses: by loss network.
    """
    measures: dict[str, float] = {}
    for name, loss in losses.items():
        features, style = photo.features[name], painting.style[name]
        terms = loss.terms(picture, loss.network(picture), features, style)
        of_photo = loss.terms(photo.image, features, features, style)
        measures.setdefault("content", terms.content.item())
        measures[f"style left ({name})"] = (terms.style / of_photo.style).item()
    return measures | {
        "tone": tone(picture, painting.image),
        "palette": palette_distance(picture, painting.image),
        "sharpness": sharpness(picture, photo.image).item(),
        "grid": 255 * math.sqrt(2 * grid_loss(picture).item()),
    }


def badness(measure: str, value: float) -> float:
    """Return a number that is larger the worse a measure's value is.

    The worst tone is the one farthest from 1, the worst sharpness the smallest, and the worst value
    of every other measure the largest.
    """
    if measure == "tone":
        return abs(value - 1)
    return -value if measure == "sharpness" else value
