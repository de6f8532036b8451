"""Training of a super-resolution network by pixel or feature loss (Johnson et al. 2016)."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from stylebeam.transforms.checkpoints import Checkpoint, save_checkpoint
from stylebeam.transforms.inference.super_resolution import reduced
from stylebeam.transforms.losses.distances import CharbonnierEpsilon, Distance, DistanceName
from stylebeam.transforms.losses.functional import feature_reconstruction_loss, pixel_loss
from stylebeam.transforms.losses.loss_network import (
    LossNetworkName,
    interior_activations,
    load_loss_network,
)
from stylebeam.transforms.networks import build_network
from stylebeam.transforms.networks.layers import Upsampling
from stylebeam.transforms.training.data import ContentCrops, ListFiles, TrainingImages, files_below
from stylebeam.transforms.training.loop import run_iterations
from stylebeam.transforms.training.loop_config import ConfigValueError, NetworkTrainingConfig

# A smaller part of a photo would have to be enlarged to make a crop, which would be blurred.
_SMALLEST_PART = 0.3


class SuperResolutionTrainingConfig(NetworkTrainingConfig):
    """Settings of a training of a super-resolution network.

    Crops are reduced, and the network enlarges them again. The loss is `pixel_weight` * pixel loss
    plus the sum over `feature_weights` of weight * feature reconstruction loss, each between the
    enlarged and the original crop.
    """

    factor: Literal[2, 4, 8] = Field(
        default=4, description="The factor by which each side of an image is enlarged."
    )
    upsampling: Upsampling = Field(
        default="transposed", description="How the network doubles the resolution."
    )
    crop_size: int = Field(
        default=96, ge=32, strict=True, description="Side of a crop in pixels, at full size."
    )
    batch_size: int = Field(default=16, ge=1, strict=True, description="Crops in an iteration.")
    pixel_weight: float = Field(
        default=1.0, ge=0, strict=True, description="Weight of the pixel loss."
    )
    feature_weights: dict[str, float] = Field(
        default={}, description="Weight of the feature loss, by layer of the loss network."
    )
    loss_network: LossNetworkName = Field(default="embedded", description="The loss network.")
    distance: DistanceName = Field(
        default="squared_error",
        description="The distance between two images or activations in the losses.",
    )
    charbonnier_epsilon: CharbonnierEpsilon = 1e-3

    @model_validator(mode="after")
    def _check_size_and_weights(self) -> "SuperResolutionTrainingConfig":
        if self.crop_size % self.factor:
            raise ValueError(f"crop_size must be a multiple of {self.factor}")
        if not self.pixel_weight and not any(self.feature_weights.values()):
            raise ValueError("pixel_weight or a weight of feature_weights must be above 0")
        return self


def train_super_resolution(
    config: SuperResolutionTrainingConfig,
    report: Callable[[str], None] = print,
    list_files: ListFiles = files_below,
) -> Checkpoint:
    """Train a network, write its checkpoint and return it.

    If a training of the same config was interrupted, it resumes from its last state.

    Args:
        config: what to train.
        report: receives lines of progress.
        list_files: lists the files in content_images.

    Raises:
        ConfigValueError: a value of the config cannot be used.
        TrainingError: no photo can be read, or the loss is no longer finite.
        WeightsUnavailableError: the weights of the loss network are not available.
        DeviceUnavailableError: the device is not available.
    """
    device, precision = config.choose_device()
    config.check_output()
    torch.manual_seed(config.seed)
    arguments = {"factor": config.factor, "upsampling": config.upsampling}
    network = build_network("super_resolution", arguments)
    photos = config.photos(list_files)
    images = TrainingImages(photos, report)
    crops = ContentCrops(images, config.crop_size, config.seed, _SMALLEST_PART)
    loss_of = _loss(config, device, precision)
    network.to(device).to(memory_format=torch.channels_last)

    def terms_of(iteration: int, batch: Tensor) -> dict[str, Tensor]:
        target = batch.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            enlarged = network(reduced(target, config.factor))
        return loss_of(enlarged.float(), target)

    finished = run_iterations(config, network, crops, terms_of, report, ema_decay=config.ema_decay)
    images.report_left_out()
    checkpoint = Checkpoint(
        network="super_resolution",
        tensors=network.state_dict(),
        styles={},
        arguments=arguments,
        training=_published_config(config, len(photos), finished.iterations),
    )
    save_checkpoint(checkpoint, config.output)
    finished.state.unlink(missing_ok=True)
    return checkpoint


def _loss(
    config: SuperResolutionTrainingConfig, device: torch.device, precision: torch.dtype
) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
    """Return a function of images and their targets that returns the weighted terms of the loss."""
    distance = Distance(config.distance, config.charbonnier_epsilon)

    def terms_of_pixels(images: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"pixel": config.pixel_weight * pixel_loss(images, target, distance)}

    if not config.feature_weights:
        return terms_of_pixels
    try:
        network = load_loss_network(config.loss_network, config.feature_weights, device, precision)
    except ValueError as error:
        raise ConfigValueError(f"feature_weights: {error}") from error

    def terms_of_pixels_and_features(images: Tensor, target: Tensor) -> dict[str, Tensor]:
        activations = interior_activations(network, images)
        with torch.no_grad():
            targets = interior_activations(network, target)
        features = [
            weight
            * feature_reconstruction_loss(
                activations[layer], targets[layer], network.readout(layer), distance
            )
            for layer, weight in config.feature_weights.items()
        ]
        return {**terms_of_pixels(images, target), "features": torch.stack(features).sum()}

    return terms_of_pixels_and_features


def _published_config(
    config: SuperResolutionTrainingConfig, content_images: int, iterations: int
) -> dict[str, Any]:
    """Return the config for the checkpoint: without local paths, with what the training used."""
    published = config.model_dump(mode="json", exclude={"output", "device", "tensorboard"})
    published["content_images"] = f"{content_images} photographs"
    published["iterations"] = iterations
    return published
