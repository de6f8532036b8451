"""Training of an image transformation network with the perceptual losses of Johnson et al. 2016.

What an iteration sees depends on the seed and its number alone, so that a training which was
killed goes on exactly where its last state file left it.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from transforms.checkpoints import Checkpoint, save_checkpoint
from transforms.devices import DeviceName, choose_device, fast_precision
from transforms.image_io import FORMAT_OF_EXTENSION, ImageError, decode
from transforms.losses import (
    feature_reconstruction_loss,
    gram_matrix,
    style_reconstruction_loss,
    total_variation_loss,
)
from transforms.networks import build_network
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
        default={"relu2_2": 1.0}, description="Weight of the content loss, by layer."
    )
    style_weights: dict[str, float] = Field(
        default={"relu1_2": 24.0, "relu2_2": 6.0, "relu3_3": 1.5, "relu4_3": 0.4},
        description="Weight of the style loss, by layer.",
    )
    total_variation_weight: float = Field(default=1e-3, ge=0, description="Smoothness.")
    style_size: int = Field(
        default=512, ge=32, description="Short side of the painting in pixels: size of strokes."
    )
    crop_size: int = Field(default=224, ge=32, description="Side of a training crop in pixels.")
    batch_size: int = Field(default=2, ge=1, description="Crops in an iteration.")
    iterations: int = Field(default=2000, ge=1, description="How long to train.")
    learning_rate: float = Field(default=2e-3, gt=0, description="Peak of the one-cycle schedule.")
    seed: int = Field(default=0, description="Decides the first weights and every crop.")
    device: DeviceName = Field(default="auto", description="Where to train.")


class ContentCrops(Dataset[Tensor]):
    """Random square crops of a folder's photographs; crop i depends on the seed and i alone."""

    def __init__(self, folder: Path, crop_size: int, length: int, seed: int) -> None:
        """List the folder.

        Raises:
            RecipeError: it holds no images.
        """
        self.files = sorted(
            path for path in folder.rglob("*") if path.suffix.lower() in FORMAT_OF_EXTENSION
        )
        if not self.files:
            raise RecipeError(f"content_images: there are no images in {folder}.")
        self.crop_size = crop_size
        self.length = length
        self.seed = seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Tensor:
        """Return crop `index`: RGB in [0, 1], shape (3, crop_size, crop_size)."""
        if index >= self.length:
            raise IndexError(index)
        seed = hashlib.sha256(f"{self.seed} {index}".encode()).digest()
        random = torch.Generator().manual_seed(int.from_bytes(seed[:8], "little") >> 1)

        def draw(low: int, high: int) -> int:
            return int(torch.randint(low, high + 1, (), generator=random))

        pixels = _read_rgb(self.files[draw(0, len(self.files) - 1)])
        height, width = pixels.shape[1:]
        shorter = min(height, width)
        side = draw((shorter + 1) // 2, shorter)
        top, left = draw(0, height - side), draw(0, width - side)
        size = [self.crop_size, self.crop_size]
        crop = v2.functional.resized_crop(pixels, top, left, side, side, size, antialias=True)
        if draw(0, 1):
            crop = v2.functional.horizontal_flip(crop)
        return crop.float() / 255


def train(recipe: TrainingRecipe, report: Callable[[str], None] = print) -> Checkpoint:
    """Train a network, write its checkpoint and return it.

    Beside the checkpoint a state file `*.state` is kept until the training is done; a training of
    the same recipe that finds one goes on from there.

    Args:
        recipe: what to train.
        report: receives a line of progress now and then.

    Raises:
        TrainingError: the images cannot be read or the loss is no longer finite.
        WeightsUnavailableError: the loss network's weights are not to be had.
        DeviceUnavailableError: the device is not there.
    """
    device = choose_device(recipe.device)
    precision = fast_precision(device)
    style = _style_image(recipe)
    crops = ContentCrops(
        recipe.content_images,
        recipe.crop_size,
        recipe.iterations * recipe.batch_size,
        recipe.seed,
    )
    layers = {**recipe.content_weights, **recipe.style_weights}
    loss_network = load_loss_network(recipe.loss_network, layers)
    loss_network.to(device).to(memory_format=torch.channels_last).features.to(precision)
    with torch.no_grad():
        activations = loss_network(style.to(device))
    style_grams = {layer: gram_matrix(activations[layer]) for layer in recipe.style_weights}

    torch.manual_seed(recipe.seed)
    network = build_network(recipe.network, {}).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.iterations, pct_start=0.1
    )
    state = _TrainingState(recipe, network=network, optimizer=optimizer, schedule=schedule)
    first = state.load()
    if first:
        report(f"Going on from iteration {first} of {state.path}.")

    started = reported = time.monotonic()
    for iteration, batch in _batches(crops, recipe.batch_size, first):
        content = batch.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            stylized = network(content)
        with torch.no_grad():
            targets = loss_network(content)
        activations = loss_network(stylized.float())
        content_loss = sum(
            (
                weight * feature_reconstruction_loss(activations[layer], targets[layer])
                for layer, weight in recipe.content_weights.items()
            ),
            start=torch.zeros((), device=device),
        )
        style_loss = sum(
            (
                weight
                * style_reconstruction_loss(gram_matrix(activations[layer]), style_grams[layer])
                for layer, weight in recipe.style_weights.items()
            ),
            start=torch.zeros((), device=device),
        )
        smoothness = recipe.total_variation_weight * total_variation_loss(stylized)
        loss = content_loss + style_loss + smoothness
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
        if done % _ITERATIONS_PER_REPORT == 0 or done == recipe.iterations:
            now = time.monotonic()
            minutes_left = (now - started) / (done - first) * (recipe.iterations - done) / 60
            report(
                f"iteration {done}/{recipe.iterations}  loss {loss.item():.4f}"
                f"  (content {content_loss.item():.4f}, style {style_loss.item():.4f})"
                f"  {(now - reported) / _ITERATIONS_PER_REPORT:.2f} s each,"
                f" {minutes_left:.1f} min left"
            )
            reported = now
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


class _TrainingState:
    """The file that lets a killed training go on."""

    def __init__(self, recipe: TrainingRecipe, **parts: Any) -> None:
        self.path = recipe.output.with_name(recipe.output.name + ".state")
        self.recipe = recipe.model_dump_json()
        self.parts = parts

    def save(self, done: int) -> None:
        """Write the state after `done` iterations, whole or not at all."""
        state = {name: part.state_dict() for name, part in self.parts.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_name(self.path.name + ".part")
        torch.save({"recipe": self.recipe, "done": done, **state}, unfinished)
        os.replace(unfinished, self.path)

    def load(self) -> int:
        """Take up the state on disk, if it is of this recipe; return the iterations done."""
        if not self.path.exists():
            return 0
        state = torch.load(self.path, weights_only=True)
        if state["recipe"] != self.recipe:
            raise TrainingError(
                f"{self.path} is the unfinished state of another recipe. Delete it to start anew,"
                " or choose another output."
            )
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        return int(state["done"])


def _batches(crops: ContentCrops, batch_size: int, first: int) -> Iterator[tuple[int, Tensor]]:
    """Yield (iteration, batch) from iteration `first` on."""
    indices = range(first * batch_size, len(crops))
    loader = DataLoader(crops, batch_size=batch_size, sampler=indices)
    return enumerate(loader, start=first)


def _style_image(recipe: TrainingRecipe) -> Tensor:
    """Return the painting: RGB in [0, 1], shape (1, 3, H, W), short side `style_size`."""
    pixels = _read_rgb(recipe.style_image)
    resized = v2.functional.resize(pixels, [recipe.style_size], antialias=True)
    return resized.unsqueeze(0).float() / 255


def _read_rgb(path: Path) -> Tensor:
    try:
        return decode(path.read_bytes()).pixels
    except (OSError, ImageError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error


def _published_recipe(recipe: TrainingRecipe, content_images: int) -> dict[str, object]:
    """The recipe without the paths of the machine that trained."""
    published = recipe.model_dump(mode="json", exclude={"output", "device"})
    published["style_image"] = recipe.style_image.name
    published["style_image_sha256"] = hashlib.sha256(recipe.style_image.read_bytes()).hexdigest()
    published["content_images"] = f"{content_images} photographs"
    return published
