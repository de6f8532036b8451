"""Training of an image transformation network with the perceptual losses of Johnson et al. 2016."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from pydantic import Field, model_validator
from torch import Tensor

from transforms.checkpoints import Checkpoint, save_checkpoint
from transforms.distances import Distance, DistanceName
from transforms.image_io import ImageError
from transforms.loss_network import LossNetworkName, load_loss_network
from transforms.networks import build_network
from transforms.perceptual_loss import PerceptualLoss
from transforms.training_data import ContentCrops, read_style_image
from transforms.training_loop import LoopRecipe, RecipeError, run_iterations


class TrainingRecipe(LoopRecipe):
    """Everything that decides what a training makes.

    The loss of a batch is the sum over `content_weights` of weight * feature reconstruction loss,
    over `style_weights` of weight * style reconstruction loss, and `total_variation_weight` *
    total variation loss.
    """

    style_image: Path = Field(description="The painting.")
    content_images: Path = Field(description="A folder of photographs, searched recursively.")
    network: str = Field(default="johnson", description="The network to train.")
    network_arguments: dict[str, int | str] = Field(
        default={}, description="What it is built with, such as {upsampling: transposed}."
    )
    loss_network: LossNetworkName = Field(
        default="embedded", description="The network that judges."
    )
    content_weights: dict[str, float] = Field(
        min_length=1, default={"relu3_1": 1.0}, description="Weight of the content loss, by layer."
    )
    style_weights: dict[str, float] = Field(
        min_length=1,
        default={"relu1_1": 4.0, "relu2_1": 24.0, "relu3_1": 24.0, "relu4_1": 8.0, "relu5_1": 8.0},
        description="Weight of the style loss, by layer.",
    )
    total_variation_weight: float = Field(default=1.0, ge=0, strict=True, description="Smoothness.")
    content_distance: DistanceName = Field(
        default="squared_error", description="What the content loss takes of two activations."
    )
    style_distance: DistanceName = Field(
        default="squared_error", description="What the style loss takes of two Gram matrices."
    )
    charbonnier_epsilon: float = Field(
        default=1e-3, gt=0, strict=True, description="Where the Charbonnier distance bends."
    )
    style_size: int = Field(
        default=512,
        ge=32,
        strict=True,
        description="Short side of the painting in pixels: size of strokes.",
    )

    @model_validator(mode="after")
    def _has_weights_for_its_loss_network(self) -> "TrainingRecipe":
        needed = {"content_weights", "style_weights", "total_variation_weight"}
        missing = sorted(needed - self.model_fields_set)
        if self.loss_network != "embedded" and missing:
            raise ValueError(
                f"{', '.join(missing)} must be given with loss_network {self.loss_network}: the"
                " defaults are for embedded, whose activations have another scale"
            )
        return self


def train(recipe: TrainingRecipe, report: Callable[[str], None] = print) -> Checkpoint:
    """Train a network, write its checkpoint and return it.

    A training of the same recipe that was killed goes on where it was.

    Args:
        recipe: what to train.
        report: receives a line of progress now and then.

    Raises:
        RecipeError: something that the recipe names is not there, or unfit.
        TrainingError: a photograph cannot be read, or the loss is no longer finite.
        WeightsUnavailableError: the loss network's weights are not to be had.
        DeviceUnavailableError: the device is not there.
    """
    device, precision = recipe.choose_device()
    recipe.check_output()
    torch.manual_seed(recipe.seed)
    try:
        network = build_network(recipe.network, recipe.network_arguments)
    except ValueError as error:
        raise RecipeError(f"network or network_arguments: {error}") from error
    network.to(device).to(memory_format=torch.channels_last)
    crops, perceptual_loss = _prepare(recipe, device, precision)

    def terms_of(iteration: int, batch: Tensor) -> dict[str, Tensor]:
        content = batch.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            stylized = network(content)
        return perceptual_loss(stylized.float(), content)._asdict()

    finished = run_iterations(recipe, network, crops, terms_of, report)
    checkpoint = Checkpoint(
        network=recipe.network,
        arguments=dict(recipe.network_arguments),
        style=recipe.output.stem,
        tensors=network.state_dict(),
        recipe=_published_recipe(recipe, len(crops.files), finished.iterations),
    )
    save_checkpoint(checkpoint, recipe.output)
    finished.state.unlink(missing_ok=True)
    return checkpoint


def _prepare(
    recipe: TrainingRecipe, device: torch.device, precision: torch.dtype
) -> tuple[ContentCrops, PerceptualLoss]:
    """Read what the recipe names."""
    try:
        style_image = read_style_image(recipe.style_image, recipe.style_size)
    except (OSError, ImageError) as error:
        raise RecipeError(f"style_image: {recipe.style_image} cannot be read: {error}") from error
    try:
        crops = ContentCrops(recipe.content_images, recipe.crop_size, recipe.seed)
    except ValueError as error:
        raise RecipeError(f"content_images: {error}.") from error
    try:
        layers = {**recipe.content_weights, **recipe.style_weights}
        loss_network = load_loss_network(recipe.loss_network, layers, device, precision)
    except ValueError as error:
        raise RecipeError(f"content_weights or style_weights: {error}") from error
    perceptual_loss = PerceptualLoss(
        loss_network,
        style_image.to(device),
        recipe.content_weights,
        recipe.style_weights,
        recipe.total_variation_weight,
        Distance(recipe.content_distance, recipe.charbonnier_epsilon),
        Distance(recipe.style_distance, recipe.charbonnier_epsilon),
    )
    return crops, perceptual_loss


def _published_recipe(
    recipe: TrainingRecipe, content_images: int, iterations: int
) -> dict[str, object]:
    """The recipe without the paths of the machine that trained, and with what came of it."""
    published = recipe.model_dump(mode="json", exclude={"output", "device"})
    published["style_image"] = recipe.style_image.name
    published["style_image_sha256"] = hashlib.sha256(recipe.style_image.read_bytes()).hexdigest()
    published["content_images"] = f"{content_images} photographs"
    published["iterations"] = iterations
    return published
