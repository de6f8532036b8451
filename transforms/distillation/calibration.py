"""Calibration: scales the student's layers so that its losses equal the teacher's on average.

The part of the teacher's activations that the student does not predict is missing from its
losses, so they are too small. After calibration, the same loss weights give the same picture with
both networks.
"""

from collections import defaultdict

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
from stylebeam.transforms.training.data import Draw, TrainingImages, random_crop

CONTENT_LAYER = "relu4_2"
"""The layer that is calibrated by its content loss; the others are by their style loss."""

PAIRS = 100
"""The number of pairs of a photo and a painting that the losses are averaged over."""

_SEED = 1


@torch.no_grad()
def calibrate(
    network: DistilledVgg,
    teacher: Teacher,
    photos: TrainingImages,
    paintings: TrainingImages,
    size: int,
    device: torch.device,
) -> dict[str, float]:
    """Scale each layer so that its loss equals the teacher's, averaged over pairs of images.

    The style loss is between a photo and a painting, the content loss between a photo and the same
    photo with details of a painting.

    Args:
        network: modified in place.
        teacher: the network that it was distilled from.
        photos: the photos.
        paintings: the paintings.
        size: side of the crops in pixels.
        device: of both networks.

    Returns:
        The factors, by layer.
    """
    losses: dict[str, Tensor] = defaultdict(lambda: torch.zeros(2, dtype=torch.float64))
    for number in range(PAIRS):
        draw = Draw(_SEED, number)
        photo, painting = (random_crop(images, size, draw, 0.3) for images in (photos, paintings))
        painted = with_details_of(painting, photo, draw).clamp(0, 1)
        batch = torch.stack([photo, painting, painted]).to(device)
        features = interior_activations(network, batch)
        for layer, activations in teacher(batch).items():
            losses[layer] += torch.stack(
                [
                    _loss(layer, activations, None),
                    _loss(layer, features[layer], network.readout(layer)),
                ]
            ).cpu()
    gains = {}
    for layer, (of_teacher, of_student) in losses.items():
        # Content losses are proportional to the square of activations, style losses to the fourth
        # power.
        power = 1 / 2 if layer == CONTENT_LAYER else 1 / 4
        gains[layer] = float(of_teacher / of_student) ** power
        scale(network, layer, gains[layer])
    return gains


def _loss(layer: str, activations: Tensor, readout: Tensor | None) -> Tensor:
    """Return the content or style loss of a layer.

    Args:
        layer: its name.
        activations: of a photo, a painting, and the photo with details of the painting.
        readout: of the layer, as `gram_matrix` takes it.
    """
    photo, painting, painted = activations.split(1)
    if layer == CONTENT_LAYER:
        return feature_reconstruction_loss(photo, painted, readout)
    return style_reconstruction_loss(gram_matrix(photo, readout), gram_matrix(painting, readout))


@torch.no_grad()
def scale(network: DistilledVgg, layer: str, gain: float) -> None:
    """Multiply the activations of a layer, without changing the other layers.

    If the layer has a readout, that is multiplied instead.

    Args:
        network: modified in place.
        layer: one of its layers.
        gain: above 0.
    """
    if layer in network.readouts:
        network.readouts[layer].mul_(gain)
        return
    name = convolution_of(layer)
    for parameter in _factors(network.convolutions[name])[-1].parameters():
        parameter.mul_(gain)
    # ReLU and pooling are homogeneous: they pass the factor on to the next convolution.
    names = list(WIDTHS)
    following = names[names.index(name) + 1 :]
    if following:
        _factors(network.convolutions[following[0]])[0].weight.div_(gain)


def _factors(convolution: nn.Module) -> list[nn.Conv2d]:
    return [module for module in convolution.modules() if isinstance(module, nn.Conv2d)]
