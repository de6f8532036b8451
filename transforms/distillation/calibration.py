"""Calibration: the same weights of the losses shall mean the same picture by student and teacher.

What a student does not know of its teacher's activations is missing from its distances too.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from stylebeam.transforms.distillation.crops import with_details_of
from stylebeam.transforms.distillation.teacher import Teacher
from stylebeam.transforms.losses.distilled_vgg import WIDTHS, DistilledVgg, convolution_of
from stylebeam.transforms.losses.functional import (
    feature_reconstruction_loss,
    gram_matrix,
    style_reconstruction_loss,
)
from stylebeam.transforms.losses.loss_network import interior_activations
from stylebeam.transforms.training.data import Draw, random_crop

CONTENT_LAYER = "relu4_2"
"""The layer that is calibrated by its content loss, and the others by their style loss."""

_PAIRS = 100
_SEED = 1


@torch.no_grad()
def calibrate(
    network: DistilledVgg,
    teacher: Teacher,
    photographs: Sequence[Path],
    paintings: Sequence[Path],
    size: int,
    device: torch.device,
) -> dict[str, float]:
    """Scale each layer so that its losses agree with the teacher's, in the mean over pairs.

    Style losses are those of a photograph and a painting, content losses those of a photograph and
    the same with a painting's details.

    Args:
        network: is changed in place.
        teacher: what it was distilled from.
        photographs: paths of images.
        paintings: paths of images.
        size: side of the crops in pixels.
        device: where both networks are.

    Returns:
        By layer, the factor.
    """
    losses: dict[str, Tensor] = defaultdict(lambda: torch.zeros(2, dtype=torch.float64))
    for number in range(_PAIRS):
        draw = Draw(_SEED, number)
        photograph, painting = (
            random_crop(files[draw.integer(0, len(files) - 1)], size, draw, 0.3)
            for files in (photographs, paintings)
        )
        painted = with_details_of(painting, photograph, draw).clamp(0, 1)
        images = torch.stack([photograph, painting, painted]).to(device)
        features = interior_activations(network, images)
        for layer, activations in teacher(images).items():
            losses[layer] += torch.stack(
                [
                    _loss(layer, activations, None),
                    _loss(layer, features[layer], network.readout(layer)),
                ]
            ).cpu()
    gains = {}
    for layer, (of_teacher, of_student) in losses.items():
        # Content losses go with the square of activations, style losses with the fourth power.
        power = 1 / 2 if layer == CONTENT_LAYER else 1 / 4
        gains[layer] = float(of_teacher / of_student) ** power
        scale(network, layer, gains[layer])
    return gains


def _loss(layer: str, activations: Tensor, readout: Tensor | None) -> Tensor:
    """Return the content or style loss of a photograph, a painting, and both in one."""
    photograph, painting, painted = activations.split(1)
    if layer == CONTENT_LAYER:
        return feature_reconstruction_loss(photograph, painted, readout)
    return style_reconstruction_loss(
        gram_matrix(photograph, readout), gram_matrix(painting, readout)
    )


@torch.no_grad()
def scale(network: DistilledVgg, layer: str, gain: float) -> None:
    """Multiply what a layer returns, through its readout if it has one, and nothing else.

    Args:
        network: is changed in place.
        layer: one of its layers.
        gain: above 0.
    """
    if layer in network.readouts:
        network.readouts[layer].mul_(gain)
        return
    name = convolution_of(layer)
    for parameter in _factors(network.convolutions[name])[-1].parameters():
        parameter.mul_(gain)
    # A rectifier returns gain times as much for gain times as much, and so does a pooling.
    names = list(WIDTHS)
    following = names[names.index(name) + 1 :]
    if following:
        _factors(network.convolutions[following[0]])[0].weight.div_(gain)


def _factors(convolution: nn.Module) -> list[nn.Conv2d]:
    return [module for module in convolution.modules() if isinstance(module, nn.Conv2d)]
