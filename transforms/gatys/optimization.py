"""The optimization of one image, from a coarse resolution to full size."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from stylebeam.transforms.gatys.descent import Evaluation, Objective, OnEvaluation, descend
from stylebeam.transforms.gatys.minimizers import Adam, Lbfgs, Minimizer
from stylebeam.transforms.gatys.preconditioner import Preconditioner
from stylebeam.transforms.gatys.settings import OptimizationSettings
from stylebeam.transforms.hardware.memory import return_free_memory
from stylebeam.transforms.losses.borders import MirroredBorders
from stylebeam.transforms.losses.loss_network import LossNetworkName
from stylebeam.transforms.losses.perceptual import LossSettings, PerceptualLoss, blend_styles

MIN_SIDE = 32
"""In pixels: VGG's fifth block, after four poolings, needs as much."""

# Relative to a coarse level, strokes have the size that they have relative to a painting of the
# same size.
_MIN_COARSE_SIDE = 128

Painting = tuple[Tensor, float]
"""RGB in [0, 1], shape (1, 3, H, W), and the painting's part in the style, above 0."""


class Subject(NamedTuple):
    """One image to optimize.

    Attributes:
        photo: RGB in [0, 1], shape (1, 3, H, W).
        paintings: at their own size, with the colors that the result should have.
        start: the initial image, of the photo's shape.
    """

    photo: Tensor
    paintings: Sequence[Painting]
    start: Tensor


class Level(NamedTuple):
    """A resolution at which an image is optimized.

    Attributes:
        size: height and width in pixels.
        iterations: number of evaluations of the loss.
    """

    size: tuple[int, int]
    iterations: int


class Optimization:
    """Optimizes images with given settings, loss networks and precision."""

    def __init__(
        self,
        settings: OptimizationSettings,
        networks: Mapping[LossNetworkName, MirroredBorders],
        precision: torch.dtype,
    ) -> None:
        """Store what images are optimized with.

        Args:
            settings: the loss, the levels and the minimizer.
            networks: the loss networks of the settings, in float32.
            precision: of the loss networks' convolutions.
        """
        self._settings = settings
        self._networks = networks
        self._precision = precision

    def run(
        self,
        subject: Subject,
        progress: Callable[[float], None],
        on_evaluation: OnEvaluation | None = None,
    ) -> Tensor:
        """Return the image with the lowest loss that was found, of the photo's shape.

        Args:
            subject: the photo, the paintings and the initial image.
            progress: is called after each evaluation of a loss with the part of all evaluations
                that is done. What it raises ends the optimization.
            on_evaluation: is called with each evaluation.

        Raises:
            NonFiniteError: the loss is NaN or infinite.
        """
        settings = self._settings
        first, *finish = settings.networks
        height, width = subject.photo.shape[2:]
        levels = self.levels(height, width)
        total = sum(level.iterations for level in levels)
        total += len(finish) * settings.finish_iterations
        done = 0

        def report(evaluation: Evaluation) -> None:
            if on_evaluation is not None:
                on_evaluation(evaluation)
            progress((done + evaluation.number) / total)

        image = subject.start
        minimizer: Minimizer | None = None
        for size, iterations in levels:
            # Frees the memory of the coarser level before this one allocates its own.
            minimizer = None
            photo = _resized(subject.photo, size)
            image = self._at_level(image, subject.photo, photo)
            minimizer = self._minimizer(image)
            loss = settings.loss_before_finish
            objective = self.objective(first, loss, photo, subject.paintings)
            descend(objective, minimizer, iterations, settings.tolerance, report)
            image = minimizer.image
            done += iterations
            # The next level needs blocks of other sizes.
            del objective
            return_free_memory()
        assert minimizer is not None, "there is at least one level"
        for name in finish:
            objective = self.objective(name, settings.loss, photo, subject.paintings)
            minimizer.restart()
            descend(objective, minimizer, settings.finish_iterations, on_evaluation=report)
        return minimizer.image

    def levels(self, height: int, width: int) -> list[Level]:
        """Return the levels for a photo of this size, the coarsest first and full size last."""
        levels = []
        for number in reversed(range(self._settings.levels)):
            size = round(height / 2**number), round(width / 2**number)
            if number == 0 or min(size) >= _MIN_COARSE_SIDE:
                # A coarse level decides where strokes are; the next ones draw their details.
                levels.append(Level(size, max(1, self._settings.iterations >> number)))
        return levels

    def objective(
        self,
        name: LossNetworkName,
        settings: LossSettings,
        photo: Tensor,
        paintings: Sequence[Painting],
    ) -> Objective:
        """Return the loss of an image of the photo's size.

        Args:
            name: of the loss network.
            settings: of the loss.
            photo: RGB in [0, 1], shape (1, 3, H, W).
            paintings: of any size.
        """
        network = copy.deepcopy(self._networks[name]).to(self._precision)
        loss = PerceptualLoss(network, settings)
        content = loss.content_targets(photo)
        pixels = photo[0, 0].numel() * self._settings.style_scale**2
        styles = loss.style_targets([_with_pixels(painting, pixels) for painting, _ in paintings])
        return Objective(loss, content, blend_styles(styles, [part for _, part in paintings]))

    def _at_level(self, image: Tensor, photo: Tensor, photo_here: Tensor) -> Tensor:
        """Return the image with which a level starts.

        Args:
            image: the result of the level before; at the first level, an image of full size.
            photo: of full size.
            photo_here: the photo at this level's size.
        """
        size = photo_here.shape[2:]
        resized = _resized(image, size)
        if image.shape[2] < size[0] and self._settings.init != "noise":
            # Adds the detail of the photo that the coarser level could not contain.
            resized = resized + photo_here - _resized(_resized(photo, image.shape[2:]), size)
        return resized.clamp(0, 1) if self._settings.bounded else resized

    def _minimizer(self, image: Tensor) -> Minimizer:
        """Return the minimizer of the settings, which starts at an image."""
        settings = self._settings
        if settings.optimizer == "adam":
            return Adam(image, settings.learning_rate, settings.bounded)
        exponent = settings.preconditioning
        preconditioner = Preconditioner(image, exponent) if exponent else None
        pairs = history_length(settings)
        return Lbfgs(image, pairs, settings.bounded, preconditioner, self._precision)


def history_length(settings: OptimizationSettings) -> int:
    """Return the largest number of steps that L-BFGS can have to remember."""
    finish = 0 if settings.finish == "none" else settings.finish_iterations
    return min(settings.history_size, settings.iterations + finish)


def _resized(image: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(image.shape[2:]) == tuple(size):
        return image
    return resize(image, list(size), InterpolationMode.BICUBIC, antialias=True)


def _with_pixels(painting: Tensor, pixels: float) -> Tensor:
    """Return a painting resized to about this many pixels, with its own aspect ratio."""
    height, width = painting.shape[2:]
    factor = math.sqrt(pixels / (height * width))
    size = [max(MIN_SIDE, round(factor * side)) for side in (height, width)]
    return resize(painting, size, antialias=True)
