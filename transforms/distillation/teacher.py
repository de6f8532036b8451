"""The teacher of the distillation: VGG-19 with its layers scaled to a mean square of 1."""

from collections import defaultdict

import torch
from torch import Tensor

from stylebeam.transforms.losses.loss_network import LossNetwork, interior_activations


class Teacher:
    """A loss network, each of its layers scaled to a mean square of 1.

    Attributes:
        precision: of the computation.
        channels: the number of channels, by layer.
        scales: the number by which the activations are divided, by layer.
        variances: the variance of the scaled activations over positions, averaged over channels, by
            layer.
    """

    def __init__(self, network: LossNetwork, precision: torch.dtype, images: Tensor) -> None:
        """Measure the scales.

        Args:
            network: with weights in that precision.
            precision: of the computation.
            images: RGB in [0, 1], shape (B, 3, H, W), on the network's device.
        """
        self._network = network
        self.precision = precision
        mean: dict[str, Tensor] = defaultdict(lambda: torch.zeros(1, device=images.device))
        mean_square: dict[str, Tensor] = defaultdict(lambda: torch.zeros(1, device=images.device))
        for image in images.split(1):
            for layer, values in self._activations(image).items():
                mean[layer] = mean[layer] + values.mean((0, 2, 3)) / len(images)
                mean_square[layer] = mean_square[layer] + values.square().mean((0, 2, 3)) / len(
                    images
                )
        self.channels = {layer: len(values) for layer, values in mean.items()}
        self.scales = {layer: x.mean().sqrt().item() for layer, x in mean_square.items()}
        self.variances = {
            layer: 1 - values.square().mean().item() / self.scales[layer] ** 2
            for layer, values in mean.items()
        }

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Return the scaled activations of images, shape (B, 3, H, W), by layer in float32."""
        activations = self._activations(images)
        return {layer: values / self.scales[layer] for layer, values in activations.items()}

    @torch.no_grad()
    def _activations(self, images: Tensor) -> dict[str, Tensor]:
        images = images.contiguous(memory_format=torch.channels_last)
        activations = interior_activations(self._network, images)
        return {layer: values.float() for layer, values in activations.items()}
