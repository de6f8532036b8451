"""Normalization of VGG's weights, so that activations have the same scale with all weights.

Gatys et al. 2016, section 2, scale the weights so that each filter has a mean activation of 1 over
images and positions. The network computes the same up to these factors, since ReLU and pooling
preserve them. Here each layer is scaled as a whole, which keeps the proportions of its channels, to
a mean square of 1, which the distilled VGG has too. Without it, the same loss weights would mean
different pictures: the activations of the original VGG-19 and of torchvision's VGG-16 differ by a
factor of a hundred.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.losses.vgg import Vgg, normalize

_REFERENCE_PHOTOS = Path(__file__).parents[1] / "weights" / "loss_network" / "photographs.jpg"


def reference_photos() -> Tensor:
    """Return the photos on which activations are measured: six side by side in one image.

    Returns:
        RGB in [0, 1], shape (1, 3, 512, 768).
    """
    return decode(_REFERENCE_PHOTOS.read_bytes()).pixels[None] / 255


@torch.no_grad()
def normalize_activations(network: Vgg, photos: Tensor) -> None:
    """Scale each convolution in place, so that the mean square after its ReLU is 1.

    Each layer is divided by one number, and the next convolution is multiplied by it. Layers whose
    ReLU returns nothing but zeros are not scaled. Runs in a lower precision under autocast.

    Args:
        network: with its weights in float32.
        photos: RGB in [0, 1], shape (B, 3, H, W), on the network's device.
    """
    values = normalize(photos).contiguous(memory_format=torch.channels_last)
    divisor_before = values.new_ones(())
    for module in network.features:
        values = module(values)
        if isinstance(module, nn.Conv2d):
            weight, bias = module.parameters()
            divisor = values.relu().square().mean(dtype=torch.float32).sqrt()
            divisor = torch.where(divisor > 0, divisor, 1.0)
            weight.mul_(divisor_before / divisor)
            bias.div_(divisor)
            divisor_before = divisor
