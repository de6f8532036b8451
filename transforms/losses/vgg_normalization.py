"""VGG's activations, brought to one scale whichever weights a network has.

Gatys et al. 2016, section 2, scale the weights so that the activations of each filter have the mean
1 over images and places. That leaves unchanged what the network computes, since rectifiers and
poolings pass a factor on. Here it is done for each layer as a whole, which keeps the proportions of
its channels, and with the mean square, which is 1 in the embedded loss network too. So the weights
of losses mean much the same with every network: the original VGG-19's activations and those of
torchvision's VGG-16 differ a hundredfold.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.losses.vgg import Vgg, normalize

_REFERENCE_PHOTOGRAPHS = Path(__file__).parents[1] / "weights" / "loss_network" / "photographs.jpg"


def reference_photos() -> Tensor:
    """Return what activations are measured on: six photographs side by side, shipped with us.

    Returns:
        RGB in [0, 1], shape (1, 3, 512, 768).
    """
    return decode(_REFERENCE_PHOTOGRAPHS.read_bytes()).pixels[None] / 255


@torch.no_grad()
def normalize_activations(network: Vgg, photographs: Tensor) -> None:
    """Scale each convolution in place, so that what its rectifier returns has the mean square 1.

    Every layer is divided by one number, and the next convolution takes it back. A convolution
    whose rectifier returns nothing but zeros stays as large as it was. Under autocast it convolves
    in a lower precision.

    Args:
        network: with its weights in float32.
        photographs: RGB in [0, 1], shape (B, 3, H, W), on the network's device.
    """
    values = normalize(photographs).contiguous(memory_format=torch.channels_last)
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
