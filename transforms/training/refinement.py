"""Refines the vector of a style on a few photos; the network stays as it is."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from stylebeam.transforms.checkpoints import Checkpoint
from stylebeam.transforms.hardware.devices import fast_gradient_precision
from stylebeam.transforms.hardware.precision import convolutions_in
from stylebeam.transforms.images.pixels import to_unit_range
from stylebeam.transforms.losses.borders import ReflectedMargin
from stylebeam.transforms.losses.loss_network import load_loss_network
from stylebeam.transforms.networks.any_style import COLOR_SIZE
from stylebeam.transforms.prediction.statistics import LAYERS, at_style_size
from stylebeam.transforms.training.any_style_loss import AnyStyleLoss, LossWeights
from stylebeam.transforms.training.clock import one_cycle
from stylebeam.transforms.training.data import Draw
from stylebeam.transforms.training.style_targets import target_of

STEPS_A_SECOND = 2
"""Steps in a second on two CPU cores. The number of steps, rather than the time, is fixed, so that
the result does not depend on the machine's load."""

_CROP = 320  # side in pixels
_SHORT_SIDE = 512  # to which photos are reduced
_LEARNING_RATE = 3e-2


def refine_style(
    checkpoint: Checkpoint,
    vector: Tensor,
    painting: Tensor,
    photos: Sequence[Tensor],
    steps: int,
    seed: int = 0,
) -> Tensor:
    """Return the vector of a style, optimized on crops of some photos.

    Args:
        checkpoint: of the network `any_style`.
        vector: to start from, shape (style_size,).
        painting: RGB, uint8 or uint16 of shape (3, H, W).
        photos: RGB, uint8 or uint16 of shape (3, H, W), at least one.
        steps: how many steps of Adam to take.
        seed: of the crops.

    Returns:
        Shape (style_size,), float32 with the precision of a checkpoint.
    """
    device = torch.device("cpu")
    precision = fast_gradient_precision(device)
    network = checkpoint.build().to(memory_format=torch.channels_last)
    loss_network = ReflectedMargin(load_loss_network("embedded", LAYERS, device, precision))
    images = [_reduced(photo) for photo in photos]
    target = target_of(loss_network, at_style_size(to_unit_range(painting[None])))
    # Crops rather than whole photos: the loss has seen crops in the training too.
    measured = [_crop(images, Draw(seed, -1 - number)) for number in range(max(8, len(images)))]
    loss = AnyStyleLoss(LossWeights(), loss_network, measured, seed)
    numbers = vector.clone().float().requires_grad_()
    optimizer = torch.optim.Adam([numbers], lr=_LEARNING_RATE)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = _LEARNING_RATE * one_cycle(step / steps)
        crop = _crop(images, Draw(seed, step))
        with convolutions_in(precision, device):
            stylized = network(crop.contiguous(memory_format=torch.channels_last), numbers[None])
        terms = loss(step, stylized.float(), crop, [target])
        [gradient] = torch.autograd.grad(torch.stack(list(terms.values())).sum(), numbers)
        # The end of the vector is the painting's colors, which are known.
        gradient[len(numbers) - COLOR_SIZE :] = 0
        numbers.grad = gradient
        optimizer.step()
    return numbers.detach().half().float()


def _reduced(photo: Tensor) -> Tensor:
    """Return a photo as RGB in [0, 1], shape (1, 3, H, W), large enough for a crop."""
    return at_style_size(to_unit_range(photo[None]), _SHORT_SIDE)


def _crop(images: Sequence[Tensor], draw: Draw) -> Tensor:
    image = images[draw.integer(0, len(images) - 1)]
    height, width = image.shape[2:]
    top, left = draw.integer(0, height - _CROP), draw.integer(0, width - _CROP)
    return functional.crop(image, top, left, _CROP, _CROP)
