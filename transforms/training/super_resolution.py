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
from stylebeam.transforms.training.data import ContentCrops, ListFiles, files_below
from stylebeam.transforms.training.loop import run_iterations
from stylebeam.transforms.training.loop_recipe import NetworkRecipe, RecipeError

# Smaller parts of a photograph would have to be enlarged to make a crop, and are blurred.
_SMALLEST_PART = 0.3


class SuperResolutionRecipe(NetworkRecipe):
    """Everything that decides what a training of a super-resolution network makes.

    The loss of a batch is `pixel_weight` * pixel loss, and the sum over `feature_weights` of
    weight * feature reconstruction loss, of an image that was reduced and enlarged again against
    what it was before.
    """

    factor: Literal[2, 4, 8] = Field(default=4, description="By which each side of an image grows.")
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
    loss_network: LossNetworkName = Field(
        default="embedded", description="The network that judges features."
    )
    distance: DistanceName = Field(
        default="squared_error", description="What the losses take of two images or activations."
    )
    charbonnier_epsilon: CharbonnierEpsilon = 1e-3

    @model_validator(mode="after")
    def _can_be_trained(self) -> "SuperResolutionRecipe":
        if self.crop_size % self.factor:
            raise ValueError(f"crop_size must be a multiple of {self.factor}")
        if not self.pixel_weight and not any(self.feature_weights.values()):
            raise ValueError("pixel_weight or a weight of feature_weights must be above 0")
        return self


def train_super_resolution(
    recipe: SuperResolutionRecipe,
    report: Callable[[str], None] = print,
    list_files: ListFiles = files_below,
) -> Checkpoint:
    """Train a network, write its checkpoint and return it.

    A training of the same recipe that was killed goes on where it was.

    Args:
        recipe: what to train.
        report: receives a line of progress now and then.
        list_files: lists the files of content_images.

    Raises:
        RecipeError: something that the recipe names is not there, or unfit.
        TrainingError: a photograph cannot be read, or the loss is no longer finite.
        WeightsUnavailableError: the loss network's weights are not to be had.
        DeviceUnavailableError: the device is not there.
    """
    device, precision = recipe.choose_device()
    recipe.check_output()
    torch.manual_seed(recipe.seed)
    arguments = {"factor": recipe.factor, "upsampling": recipe.upsampling}
    network = build_network("super_resolution", arguments)
    photographs = recipe.photographs(list_files)
    crops = ContentCrops(photographs, recipe.crop_size, recipe.seed, _SMALLEST_PART)
    loss_of = _loss(recipe, device, precision)
    network.to(device).to(memory_format=torch.channels_last)

    def terms_of(iteration: int, batch: Tensor) -> dict[str, Tensor]:
        target = batch.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            enlarged = network(reduced(target, recipe.factor))
        return loss_of(enlarged.float(), target)

    finished = run_iterations(recipe, network, crops, terms_of, report, ema_decay=recipe.ema_decay)
    checkpoint = Checkpoint(
        network="super_resolution",
        tensors=network.state_dict(),
        styles={},
        arguments=arguments,
        training=_published_recipe(recipe, len(photographs), finished.iterations),
    )
    save_checkpoint(checkpoint, recipe.output)
    finished.state.unlink(missing_ok=True)
    return checkpoint


def _loss(
    recipe: SuperResolutionRecipe, device: torch.device, precision: torch.dtype
) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
    """Return what makes the weighted terms of the loss of images and what they ought to be."""
    distance = Distance(recipe.distance, recipe.charbonnier_epsilon)

    def of_pixels(images: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"pixel": recipe.pixel_weight * pixel_loss(images, target, distance)}

    if not recipe.feature_weights:
        return of_pixels
    try:
        network = load_loss_network(recipe.loss_network, recipe.feature_weights, device, precision)
    except ValueError as error:
        raise RecipeError(f"feature_weights: {error}") from error

    def of_pixels_and_features(images: Tensor, target: Tensor) -> dict[str, Tensor]:
        activations = interior_activations(network, images)
        with torch.no_grad():
            targets = interior_activations(network, target)
        features = [
            weight
            * feature_reconstruction_loss(
                activations[layer], targets[layer], network.readout(layer), distance
            )
            for layer, weight in recipe.feature_weights.items()
        ]
        return {**of_pixels(images, target), "features": torch.stack(features).sum()}

    return of_pixels_and_features


def _published_recipe(
    recipe: SuperResolutionRecipe, content_images: int, iterations: int
) -> dict[str, Any]:
    """The recipe without the paths of the machine that trained, and with what came of it."""
    published = recipe.model_dump(mode="json", exclude={"output", "device", "tensorboard"})
    published["content_images"] = f"{content_images} photographs"
    published["iterations"] = iterations
    return published
