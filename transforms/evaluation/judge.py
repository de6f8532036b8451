"""The judge of stylized pictures: keeps the loss networks and what pictures are compared with."""

from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from stylebeam.transforms.evaluation.config import EvaluationConfig
from stylebeam.transforms.evaluation.images import ContentImage, ImageFolder
from stylebeam.transforms.evaluation.measures import (
    Losses,
    PaintingTarget,
    PhotoTarget,
    measure_picture,
    painting_target,
    photo_target,
)
from stylebeam.transforms.hardware.devices import fast_precision
from stylebeam.transforms.images.formats import ImageError
from stylebeam.transforms.losses.borders import ReflectedMargin
from stylebeam.transforms.losses.loss_network import LossNetworkName, load_loss_network
from stylebeam.transforms.losses.perceptual import PerceptualLoss
from stylebeam.transforms.training.data import read_style_image
from stylebeam.transforms.training.loop_config import ConfigValueError


class Judge:
    """Measures pictures in the styles of paintings.

    Attributes:
        paintings: the folder with the paintings.
    """

    def __init__(self, config: EvaluationConfig, device: torch.device) -> None:
        """Load the loss networks.

        Raises:
            ConfigValueError: there are no paintings, or a loss network does not have a layer.
            WeightsUnavailableError: the weights of a loss network cannot be found.
        """
        if config.style_images is None:
            raise ConfigValueError("style_images: must be given, to measure styles.")
        self.paintings = ImageFolder("style_images", config.style_images)
        self._device = device
        self._style_size = config.style_size
        names = dict.fromkeys([config.loss_network, *config.also_measure_by])
        self._losses: Losses = {name: _loss(config, name, device) for name in names}
        self._targets: dict[Path, PaintingTarget] = {}
        # All pictures of a photo are measured before those of the next.
        self._photo_target = lru_cache(maxsize=1)(self._new_photo_target)

    @property
    def loss(self) -> PerceptualLoss:
        """The loss that measures the content."""
        return next(iter(self._losses.values()))

    def painting(self, path: Path) -> PaintingTarget:
        """Return what pictures in the style of a painting are compared with.

        Raises:
            ConfigValueError: the painting cannot be read.
        """
        if path not in self._targets:
            try:
                image = read_style_image(path, self._style_size).to(self._device)
            except (OSError, ImageError) as error:
                raise ConfigValueError(f"style_images: {path} cannot be read: {error}") from error
            self._targets[path] = painting_target(image, self._losses)
        return self._targets[path]

    def measure(
        self, painting: PaintingTarget, picture: Tensor, photo: ContentImage
    ) -> dict[str, float]:
        """Return the measures of a picture, see `measure_picture`.

        Args:
            painting: in whose style it is.
            picture: RGB, uint8 of shape (3, H, W); the photo is resized to its size.
            photo: of which it was made.
        """
        target = self._photo_target(photo, picture.shape[1], picture.shape[2])
        images = picture[None].to(self._device).float() / 255
        return measure_picture(images, target, painting, self._losses)

    def _new_photo_target(self, photo: ContentImage, height: int, width: int) -> PhotoTarget:
        return photo_target(photo.at(height, width).to(self._device), self._losses)


def _loss(config: EvaluationConfig, name: LossNetworkName, device: torch.device) -> PerceptualLoss:
    try:
        network = load_loss_network(name, config.loss.layers, device, fast_precision(device))
    except ValueError as error:
        raise ConfigValueError(f"content_weights or style_weights: {error}") from error
    return PerceptualLoss(ReflectedMargin(network), config.loss)
