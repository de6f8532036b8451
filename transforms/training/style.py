"""Training of a style network with the perceptual losses of Johnson et al. 2016."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stylebeam.transforms.checkpoints import (
    Checkpoint,
    CheckpointError,
    Style,
    parse_checkpoint,
    save_checkpoint,
)
from stylebeam.transforms.losses.functional import grid_loss
from stylebeam.transforms.losses.perceptual import StylizationLoss
from stylebeam.transforms.networks import build_network, style_size
from stylebeam.transforms.training.data import (
    ContentCrops,
    ImageFile,
    ListFiles,
    files_below,
    list_images,
)
from stylebeam.transforms.training.log import Validation
from stylebeam.transforms.training.loop import run_iterations
from stylebeam.transforms.training.loop_recipe import RecipeError
from stylebeam.transforms.training.optimizers import optimizers_of
from stylebeam.transforms.training.style_recipe import TrainingRecipe

_VALIDATION_CROPS = 6


def train(
    recipe: TrainingRecipe,
    report: Callable[[str], None] = print,
    list_files: ListFiles = files_below,
) -> Checkpoint:
    """Train a network or, added to one, a style; write the checkpoint and return it.

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
    paintings = _paintings(recipe)
    start = _start(recipe, paintings)
    torch.manual_seed(recipe.seed)
    model = _StyledNetwork(start, paintings, trains_network=recipe.add_to is None)
    model.to(device).to(memory_format=torch.channels_last)
    photographs = recipe.photographs(list_files, without=recipe.held_out)
    held_out = _held_out(recipe, photographs, list_files)
    crops = ContentCrops(photographs, recipe.crop_size, recipe.seed)
    perceptual_loss = recipe.perceptual_loss(paintings.values(), device, precision)

    def terms_of(iteration: int, batch: Tensor) -> dict[str, Tensor]:
        content = batch.to(device, memory_format=torch.channels_last)
        first = iteration * len(batch)
        styles = [number % len(paintings) for number in range(first, first + len(batch))]
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            stylized = model(content, styles)
        return _terms(recipe, perceptual_loss, stylized.float(), content, styles)

    finished = run_iterations(
        recipe,
        model,
        crops,
        terms_of,
        report,
        optimizers_of(model, recipe.optimizer, recipe.learning_rate),
        recipe.ema_decay,
        _validation(recipe, held_out, perceptual_loss, len(paintings), device),
    )
    trained = {}
    for (name, painting), vector in zip(paintings.items(), model.vectors, strict=True):
        about = _published_recipe(recipe, start, painting, len(photographs), finished.iterations)
        trained[name] = Style(vector.detach().cpu(), about)
    checkpoint = Checkpoint(
        network=start.network,
        arguments=start.arguments,
        tensors=model.network.state_dict() if recipe.add_to is None else start.tensors,
        styles=trained if recipe.add_to is None else {**start.styles, **trained},
    )
    save_checkpoint(checkpoint, recipe.output)
    finished.state.unlink(missing_ok=True)
    return checkpoint


class _StyledNetwork(nn.Module):
    """A style network and the vectors of the styles that are trained, as one module.

    Attributes:
        network: the network; frozen, if only the vectors are trained.
        vectors: of shape (styles, style_size).
    """

    def __init__(self, start: Checkpoint, styles: Iterable[str], trains_network: bool) -> None:
        """Take up what there is.

        Args:
            start: the network, its weights if it has any, and the vectors of styles it knows.
            styles: names of those to train, in the order in which they count.
            trains_network: whether more than the vectors is trained.
        """
        super().__init__()
        self.network = build_network(start.network, start.arguments)
        if start.tensors:
            self.network.load_state_dict(start.tensors)
        self.network.requires_grad_(trains_network)
        known = {name: style.vector.float() for name, style in start.styles.items()}
        nothing = torch.zeros(style_size(self.network))
        # The mean of the styles that are there is nearer to any other than no style is.
        mean = torch.stack(list(known.values())).mean(0) if known else nothing
        self.vectors = nn.Parameter(torch.stack([known.get(name, mean) for name in styles]))

    def forward(self, images: Tensor, styles: Sequence[int]) -> Tensor:
        """Return images, RGB of shape (B, 3, H, W), each in the style of that number."""
        stylized: Tensor = self.network(images, self.vectors[styles])
        return stylized


def _paintings(recipe: TrainingRecipe) -> dict[str, Path]:
    """Return the paintings by their style's name.

    Raises:
        RecipeError: there are none, or two would have one name.
    """
    if recipe.style_image is not None:
        of_many = recipe.add_to is not None or recipe.network == "multi_style"
        return {(recipe.style_image if of_many else recipe.output).stem: recipe.style_image}
    assert recipe.style_images is not None, "the recipe sees to it"
    try:
        files = list_images(recipe.style_images)
    except ValueError as error:
        raise RecipeError(f"style_images: {error}.") from error
    paintings: dict[str, Path] = {}
    for file in files:
        if file.stem in paintings:
            raise RecipeError(
                f"style_images: {file} and {paintings[file.stem]} would be one style, {file.stem}:"
                " rename one."
            )
        paintings[file.stem] = file
    return paintings


def _start(recipe: TrainingRecipe, names: Iterable[str]) -> Checkpoint:
    """Return the checkpoint that is added to or gone on from, or one of a network without weights.

    Raises:
        RecipeError: there is no such network or checkpoint, the checkpoint is of another network,
            or a style that is added is there already.
    """
    if recipe.add_to is not None:
        return _to_add_to(recipe.add_to, names)
    try:
        build_network(recipe.network, recipe.network_arguments)
    except ValueError as error:
        raise RecipeError(f"network or network_arguments: {error}") from error
    if recipe.start is None:
        return Checkpoint(recipe.network, {}, {}, dict(recipe.network_arguments))
    checkpoint = _read_checkpoint("start", recipe.start)
    if (checkpoint.network, checkpoint.arguments) != (recipe.network, recipe.network_arguments):
        raise RecipeError(
            f"start: the network of {recipe.start} is {checkpoint.network} with"
            f" {checkpoint.arguments}, that of the recipe {recipe.network} with"
            f" {recipe.network_arguments}. They must be the same."
        )
    return checkpoint


def _to_add_to(path: Path, names: Iterable[str]) -> Checkpoint:
    """Return the checkpoint that styles of these names are added to.

    Raises:
        RecipeError: it cannot be read, its network takes no vectors, or it has one of the names.
    """
    checkpoint = _read_checkpoint("add_to", path)
    if not any(len(style.vector) for style in checkpoint.styles.values()):
        raise RecipeError(
            f"add_to: the network of {path}, {checkpoint.network}, is of one style. A style can be"
            " added to the network multi_style."
        )
    for name in names:
        if name in checkpoint.styles:
            raise RecipeError(f"add_to: {path} has a style {name} already. Rename the painting.")
    return checkpoint


def _read_checkpoint(key: str, path: Path) -> Checkpoint:
    """Return the checkpoint that a key of the recipe names, whose network can be built.

    Raises:
        RecipeError: it cannot be read.
    """
    try:
        checkpoint = parse_checkpoint(path.read_bytes())
        checkpoint.build()
    except (OSError, CheckpointError) as error:
        raise RecipeError(f"{key}: {path} cannot be read: {error}") from error
    return checkpoint


def _held_out(
    recipe: TrainingRecipe, learned_from: Sequence[ImageFile], list_files: ListFiles
) -> list[ImageFile]:
    if not recipe.held_out:
        return []
    known = set(map(str, learned_from))
    return [file for file in recipe.photographs(list_files) if str(file) not in known]


def _validation(
    recipe: TrainingRecipe,
    files: Sequence[ImageFile],
    perceptual_loss: StylizationLoss,
    styles: int,
    device: torch.device,
) -> Callable[[nn.Module], Validation] | None:
    """Return what judges the network by crops of photographs, if there are any."""
    if not files:
        return None
    crops = ContentCrops(files, recipe.crop_size, recipe.seed)
    content = torch.stack([crops[number] for number in range(_VALIDATION_CROPS)]).to(device)
    in_style = [number % styles for number in range(_VALIDATION_CROPS)]

    @torch.no_grad()
    def validate(model: nn.Module) -> Validation:
        stylized = model(content, in_style)
        return Validation(_terms(recipe, perceptual_loss, stylized, content, in_style), stylized)

    return validate


def _terms(
    recipe: TrainingRecipe,
    perceptual_loss: StylizationLoss,
    stylized: Tensor,
    content: Tensor,
    styles: Sequence[int],
) -> dict[str, Tensor]:
    """Return the terms of the loss, by name."""
    terms = perceptual_loss(stylized, content, styles)._asdict()
    if recipe.grid_weight:
        terms["grid"] = recipe.grid_weight * grid_loss(stylized)
    return terms


def _published_recipe(
    recipe: TrainingRecipe,
    start: Checkpoint,
    painting: Path,
    content_images: int,
    iterations: int,
) -> dict[str, Any]:
    """The recipe without the paths of the machine that trained, and with what came of it."""
    published = recipe.model_dump(
        mode="json", exclude={"output", "device", "style_images", "tensorboard"}
    )
    published["network"], published["network_arguments"] = start.network, start.arguments
    published["style_image"] = painting.name
    published["style_image_sha256"] = hashlib.sha256(painting.read_bytes()).hexdigest()
    published["content_images"] = f"{content_images} photographs"
    published["add_to"] = recipe.add_to and recipe.add_to.name
    published["start"] = recipe.start and recipe.start.name
    published["iterations"] = iterations
    return published
