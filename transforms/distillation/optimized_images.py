"""Images on the way of an optimisation, which a loss network must judge well above all others.

An optimisation finds whatever a loss network is mistaken about. Images that were optimised by the
network in training show it its own mistakes.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from stylebeam.transforms.distillation.calibration import CONTENT_LAYER
from stylebeam.transforms.losses.loss_network import LossNetwork
from stylebeam.transforms.losses.perceptual import PerceptualLoss
from stylebeam.transforms.training.data import Draw, random_crop

_STYLE_WEIGHTS = (5.0, 80.0)
_LEARNING_RATES = (0.02, 0.06)


class OptimisedImages:
    """Photographs on their way to paintings; each way is `steps` long, then new ones begin."""

    def __init__(
        self,
        network: LossNetwork,
        photographs: Sequence[Path],
        paintings: Sequence[Path],
        size: int,
        count: int,
        steps: int,
        seed: int,
    ) -> None:
        """Take note of what to draw from.

        Args:
            network: judges the images; the mean square of its layers is about 1.
            photographs: paths of images.
            paintings: paths of images.
            size: side of an image in pixels.
            count: how many images are on their way at a time.
            steps: how long a way is.
            seed: decides what is drawn.
        """
        self._network = network
        self._photographs = photographs
        self._paintings = paintings
        self._size = size
        self._count = count
        self._steps = steps
        self._seed = seed

    def at(self, step: int, device: torch.device) -> Tensor:
        """Return the images to be judged at a step, shape (count, 3, size, size).

        A way begins at the multiples of `steps`, and depends on the seed and on that number alone.

        Raises:
            OSError: an image cannot be read.
            ImageError: it cannot be decoded.
        """
        if step % self._steps == 0:
            self._begin(step, device)
        return self._images.detach().clone().requires_grad_()

    def advance(self, images: Tensor, activations: Mapping[str, Tensor]) -> None:
        """Take a step down the perceptual loss.

        Args:
            images: what `at` returned.
            activations: the network's, of these images, with their graph, which is kept.
        """
        loss = self._loss.terms(images, activations, self._targets).total * self._count
        [self._images.grad] = torch.autograd.grad(loss, [images], retain_graph=True)
        self._optimizer.step()
        with torch.no_grad():
            self._images.clamp_(0, 1)

    def _begin(self, step: int, device: torch.device) -> None:
        draw = Draw(self._seed, step)
        photographs, paintings = (
            torch.stack([self._crop_of(files, draw) for _ in range(self._count)]).to(device)
            for files in (self._photographs, self._paintings)
        )
        weight = _log_uniform(draw, *_STYLE_WEIGHTS)
        style_layers = self._network.layers - {CONTENT_LAYER}
        self._loss = PerceptualLoss(
            self._network,
            paintings.split(1),
            {CONTENT_LAYER: 1.0},
            dict.fromkeys(sorted(style_layers), weight),
            total_variation_weight=0.0,
        )
        self._targets = self._loss.targets_of(photographs)
        self._images = photographs.requires_grad_()
        rate = _log_uniform(draw, *_LEARNING_RATES)
        self._optimizer = torch.optim.Adam([self._images], lr=rate)

    def _crop_of(self, files: Sequence[Path], draw: Draw) -> Tensor:
        return random_crop(files[draw.integer(0, len(files) - 1)], self._size, draw, 0.3)


def _log_uniform(draw: Draw, low: float, high: float) -> float:
    return math.exp(draw.uniform(math.log(low), math.log(high)))
