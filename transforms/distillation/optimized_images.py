"""Partly optimized images, on which the distilled VGG must be accurate above all.

An optimization exploits whatever a loss network gets wrong. Images that are optimized with the
network during its training show it its own mistakes.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from stylebeam.transforms.distillation.calibration import CONTENT_LAYER
from stylebeam.transforms.gatys.minimizers import Adam
from stylebeam.transforms.losses.borders import ReflectedMargin
from stylebeam.transforms.losses.loss_network import LossNetwork
from stylebeam.transforms.losses.perceptual import LossSettings, PerceptualLoss
from stylebeam.transforms.training.data import Draw, TrainingImages, random_crop

_STYLE_WEIGHTS = (5.0, 80.0)
_LEARNING_RATES = (0.02, 0.06)


class OptimizedImages:
    """Crops of photos that are optimized towards paintings; new ones start every `steps` steps."""

    def __init__(
        self,
        network: LossNetwork,
        photographs: TrainingImages,
        paintings: TrainingImages,
        size: int,
        count: int,
        steps: int,
        seed: int,
    ) -> None:
        """Store what to draw from.

        Args:
            network: the loss network; the mean square of its layers is about 1.
            photographs: the photos.
            paintings: the paintings.
            size: side of an image in pixels.
            count: number of images that are optimized together.
            steps: number of steps of each optimization.
            seed: decides all random choices.
        """
        self._network = ReflectedMargin(network)
        self._photos = photographs
        self._paintings = paintings
        self._size = size
        self._count = count
        self._steps = steps
        self._seed = seed
        self._minimizer: Adam | None = None

    def at(self, step: int, device: torch.device) -> Tensor:
        """Return the images at a step, shape (count, 3, size, size).

        An optimization starts at each multiple of `steps`, and at the first step of a training that
        is resumed elsewhere. It depends on the seed and on that number alone.

        Raises:
            OSError, ImageError: as `TrainingImages.drawn`.
        """
        if step % self._steps == 0 or self._minimizer is None:
            self._minimizer = self._started(step, device)
        return self._minimizer.trial.detach().clone().requires_grad_()

    def advance(self, images: Tensor, activations: Mapping[str, Tensor]) -> None:
        """Take a step that lowers the perceptual loss.

        Args:
            images: the result of `at`.
            activations: the network's features of these images, with a reflected margin, and with
                their graph, which is kept.
        """
        terms = self._loss.terms(images, activations, self._content, self._style)
        loss = terms.total * self._count
        [gradient] = torch.autograd.grad(loss, [images], retain_graph=True)
        assert self._minimizer is not None, "`at` has been called"
        self._minimizer.update(loss.item(), gradient)

    def _started(self, step: int, device: torch.device) -> Adam:
        draw = Draw(self._seed, step)
        photos, paintings = (
            torch.stack(
                [random_crop(images, self._size, draw, 0.3) for _ in range(self._count)]
            ).to(device)
            for images in (self._photos, self._paintings)
        )
        weight = _log_uniform(draw, *_STYLE_WEIGHTS)
        style_layers = sorted(self._network.layers - {CONTENT_LAYER})
        settings = LossSettings({CONTENT_LAYER: 1.0}, dict.fromkeys(style_layers, weight))
        self._loss = PerceptualLoss(self._network, settings)
        self._style = self._loss.style_targets(paintings.split(1))
        self._content = self._loss.content_targets(photos)
        return Adam(photos, _log_uniform(draw, *_LEARNING_RATES), bounded=True)


def _log_uniform(draw: Draw, low: float, high: float) -> float:
    return math.exp(draw.uniform(math.log(low), math.log(high)))
