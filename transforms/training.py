"""Training of an image transformation network with the perceptual losses of Johnson et al. 2016.

What an iteration sees depends on the seed and its number alone, so that a training which was
killed goes on exactly where its last state file left it.
"""

import hashlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.utils.data import DataLoader

from transforms.checkpoints import Checkpoint, save_checkpoint
from transforms.devices import DeviceName, choose_device, fast_precision
from transforms.files import write_whole
from transforms.image_io import ImageError
from transforms.networks import NETWORK_NAMES, build_network
from transforms.perceptual_loss import LossTerms, PerceptualLoss
from transforms.training_data import ContentCrops, read_style_image
from transforms.vgg import VggName, load_loss_network

_ITERATIONS_PER_STATE = 200
_ITERATIONS_PER_REPORT = 20


class TrainingError(Exception):
    """A training that cannot go on; the message says what to change."""


class RecipeError(Exception):
    """A recipe that cannot be trained; the message says what to change."""


class TrainingRecipe(BaseModel):
    """Everything that decides what a training makes.

    The loss of a batch is the sum over `content_weights` of weight * feature reconstruction loss,
    over `style_weights` of weight * style reconstruction loss, and `total_variation_weight` *
    total variation loss.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    style_image: Path = Field(description="The painting.")
    content_images: Path = Field(description="A folder of photographs, searched recursively.")
    output: Path = Field(description="The checkpoint to write, ending in .safetensors.")
    network: str = Field(default="johnson", description="The network to train.")
    loss_network: VggName = Field(default="vgg16", description="The network that judges.")
    content_weights: dict[str, float] = Field(
        min_length=1, default={"relu3_3": 1.0}, description="Weight of the content loss, by layer."
    )
    style_weights: dict[str, float] = Field(
        min_length=1,
        default={"relu1_2": 10.0, "relu2_2": 12.0, "relu3_3": 15.0, "relu4_3": 100.0},
        description="Weight of the style loss, by layer.",
    )
    total_variation_weight: float = Field(
        default=25.0, ge=0, strict=True, description="Smoothness."
    )
    style_size: int = Field(
        default=512,
        ge=32,
        strict=True,
        description="Short side of the painting in pixels: size of strokes.",
    )
    crop_size: int = Field(
        default=192, ge=32, strict=True, description="Side of a training crop in pixels."
    )
    batch_size: int = Field(default=2, ge=1, strict=True, description="Crops in an iteration.")
    iterations: int = Field(default=2000, ge=1, strict=True, description="How long to train.")
    learning_rate: float = Field(
        default=2e-3, gt=0, strict=True, description="Peak of the one-cycle schedule."
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**63,
        strict=True,
        description="Decides the first weights and every crop.",
    )
    device: DeviceName = Field(default="auto", description="Where to train.")


def train(recipe: TrainingRecipe, report: Callable[[str], None] = print) -> Checkpoint:
    """Train a network, write its checkpoint and return it.

    Beside the checkpoint a state file `*.state` is kept until the training is done; a training of
    the same recipe that finds one goes on from there.

    Args:
        recipe: what to train.
        report: receives a line of progress now and then.

    Raises:
        RecipeError: something that the recipe names is not there, or unfit.
        TrainingError: a photograph cannot be read, or the loss is no longer finite.
        WeightsUnavailableError: the loss network's weights are not to be had.
        DeviceUnavailableError: the device is not there.
    """
    device = choose_device(recipe.device)
    # float16, which a GPU is fastest in, would need its gradients scaled.
    precision = torch.bfloat16 if device.type == "cuda" else fast_precision(device)
    _check(recipe)
    crops, perceptual_loss = _prepare(recipe, device, precision)
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.network, {}).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.iterations, pct_start=0.1
    )
    state = _TrainingState(recipe, network=network, optimizer=optimizer, schedule=schedule)
    first = state.load()
    if first:
        report(f"Going on from iteration {first}.")

    progress = _Progress(recipe.iterations, first, report)
    for iteration, batch in _batches(crops, recipe.batch_size, first):
        content = batch.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            stylized = network(content)
        terms = perceptual_loss(stylized.float(), content)
        loss = terms.total
        if not torch.isfinite(loss):
            raise TrainingError(
                f"The loss was no longer finite at iteration {iteration}: lower learning_rate"
                f" (now {recipe.learning_rate})."
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

        done = iteration + 1
        progress.tell(done, terms)
        if done % _ITERATIONS_PER_STATE == 0:
            state.save(done)

    checkpoint = Checkpoint(
        network=recipe.network,
        style=recipe.output.stem,
        tensors=network.state_dict(),
        recipe=_published_recipe(recipe, len(crops.files)),
    )
    save_checkpoint(checkpoint, recipe.output)
    state.path.unlink(missing_ok=True)
    return checkpoint


def _check(recipe: TrainingRecipe) -> None:
    """Find what would otherwise fail only once the training is done."""
    if recipe.output.suffix != ".safetensors":
        raise RecipeError(f"output: {recipe.output} must end in .safetensors.")
    try:
        recipe.output.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=recipe.output.parent).close()
    except OSError as error:
        raise RecipeError(f"output: {recipe.output} cannot be written: {error}") from error
    if recipe.network not in NETWORK_NAMES:
        raise RecipeError(
            f"network: there is no network {recipe.network!r}; there is {', '.join(NETWORK_NAMES)}."
        )


def _prepare(
    recipe: TrainingRecipe, device: torch.device, precision: torch.dtype
) -> tuple[ContentCrops, PerceptualLoss]:
    """Read what the recipe names."""
    try:
        style_image = read_style_image(recipe.style_image, recipe.style_size)
    except (OSError, ImageError) as error:
        raise RecipeError(f"style_image: {recipe.style_image} cannot be read: {error}") from error
    length = recipe.iterations * recipe.batch_size
    try:
        crops = ContentCrops(recipe.content_images, recipe.crop_size, length, recipe.seed)
    except ValueError as error:
        raise RecipeError(f"content_images: {error}.") from error
    try:
        layers = {**recipe.content_weights, **recipe.style_weights}
        loss_network = load_loss_network(recipe.loss_network, layers)
    except ValueError as error:
        raise RecipeError(f"content_weights or style_weights: {error}") from error
    loss_network.to(device).to(memory_format=torch.channels_last).features.to(precision)
    perceptual_loss = PerceptualLoss(
        loss_network,
        style_image.to(device),
        recipe.content_weights,
        recipe.style_weights,
        recipe.total_variation_weight,
    )
    return crops, perceptual_loss


class _Progress:
    """Says now and then how far a training is."""

    def __init__(self, iterations: int, first: int, report: Callable[[str], None]) -> None:
        self._iterations = iterations
        self._first = first
        self._report = report
        self._started = time.monotonic()

    def tell(self, done: int, terms: LossTerms) -> None:
        if done % _ITERATIONS_PER_REPORT and done != self._iterations:
            return
        each = (time.monotonic() - self._started) / (done - self._first)
        self._report(
            f"iteration {done}/{self._iterations}: loss {terms.total.item():.3f} = content"
            f" {terms.content.item():.3f} + style {terms.style.item():.3f} + total variation"
            f" {terms.total_variation.item():.3f}; {each:.2f} s an iteration,"
            f" {each * (self._iterations - done) / 60:.1f} min left"
        )


class _TrainingState:
    """The file that lets a killed training go on."""

    def __init__(self, recipe: TrainingRecipe, **parts: Any) -> None:
        self.path = recipe.output.with_name(recipe.output.name + ".state")
        self.recipe = recipe.model_dump_json()
        self.parts = parts

    def save(self, done: int) -> None:
        """Write the state after `done` iterations, whole or not at all."""
        state = {name: part.state_dict() for name, part in self.parts.items()}
        buffer = io.BytesIO()
        torch.save({"recipe": self.recipe, "done": done, **state}, buffer)
        write_whole(self.path, buffer.getvalue())

    def load(self) -> int:
        """Take up the state on disk, if it is of this recipe; return the iterations done."""
        if not self.path.exists():
            return 0
        try:
            state = torch.load(self.path, weights_only=True)
        except Exception as error:  # torch raises nearly any kind on a damaged file.
            raise RecipeError(
                f"output: {self.path}, the state of an unfinished training, cannot be read"
                f" ({error}). Delete it to start anew."
            ) from error
        if state["recipe"] != self.recipe:
            raise RecipeError(
                f"output: {self.path} is the unfinished state of another recipe. Delete it to start"
                " anew, or choose another output."
            )
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        return int(state["done"])


def _batches(crops: ContentCrops, batch_size: int, first: int) -> Iterator[tuple[int, Tensor]]:
    """Yield (iteration, batch) from iteration `first` on."""
    indices = range(first * batch_size, len(crops))
    batches = DataLoader(crops, batch_size=batch_size, sampler=indices)
    try:
        yield from enumerate(batches, start=first)
    except (OSError, ImageError) as error:
        raise TrainingError(f"content_images: {error} Remove that file.") from error


def _published_recipe(recipe: TrainingRecipe, content_images: int) -> dict[str, object]:
    """The recipe without the paths of the machine that trained."""
    published = recipe.model_dump(mode="json", exclude={"output", "device"})
    published["style_image"] = recipe.style_image.name
    published["style_image_sha256"] = hashlib.sha256(recipe.style_image.read_bytes()).hexdigest()
    published["content_images"] = f"{content_images} photographs"
    return published
