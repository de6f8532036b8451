"""Training of a style network with the perceptual losses of Johnson et al. 2016."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.checkpoints import (
    Checkpoint,
    CheckpointError,
    Style,
    parse_checkpoint,
    read_checkpoint_file,
    save_checkpoint,
)
from stylebeam.transforms.losses.color import color_loss, sample_colors
from stylebeam.transforms.losses.functional import grid_loss
from stylebeam.transforms.networks import MANY_STYLES, build_network
from stylebeam.transforms.training.data import (
    ContentCrops,
    Draw,
    ImageFile,
    ListFiles,
    TrainingImages,
    files_below,
    list_images,
)
from stylebeam.transforms.training.initial_vectors import color_size, initial_vectors
from stylebeam.transforms.training.log import Validation
from stylebeam.transforms.training.loop import run_iterations
from stylebeam.transforms.training.loop_config import ConfigValueError
from stylebeam.transforms.training.optimizers import optimizers_of
from stylebeam.transforms.training.style_config import StyleTrainingConfig

_COLOR_DIRECTIONS = 16  # in each iteration
_VALIDATION_CROPS = 6


def train(
    config: StyleTrainingConfig,
    report: Callable[[str], None] = print,
    list_files: ListFiles = files_below,
) -> Checkpoint:
    """Train a network, or a style that is added to one; write the checkpoint and return it.

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
    paintings = _paintings(config)
    start = _start(config, paintings)
    torch.manual_seed(config.seed)
    network = _network(start, trained=config.add_to is None)
    model = _StyledNetwork(network, initial_vectors(config, network, start, paintings))
    model.to(device).to(memory_format=torch.channels_last)
    photos = config.photos(list_files, without=config.held_out)
    held_out = _held_out(config, photos, list_files)
    images = TrainingImages(photos, report)
    crops = ContentCrops(images, config.crop_size, config.seed)
    loss = _Loss(config, paintings.values(), device, precision)

    def terms_of(iteration: int, batch: Tensor) -> dict[str, Tensor]:
        content = batch.to(device, memory_format=torch.channels_last)
        first = iteration * len(batch)
        styles = [number % len(paintings) for number in range(first, first + len(batch))]
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            stylized = model(content, styles)
        return loss(iteration, stylized.float(), content, styles)

    rates = {}
    if config.vectors_learning_rate is not None:
        rates[model.vectors] = config.vectors_learning_rate
    finished = run_iterations(
        config,
        model,
        crops,
        terms_of,
        report,
        optimizers_of(model, config.optimizer, config.learning_rate, rates),
        config.ema_decay,
        _validation(config, held_out, loss, len(paintings), device, report),
    )
    images.report_left_out()
    trained = {}
    for (name, painting), vector in zip(paintings.items(), model.vectors, strict=True):
        about = _published_config(config, start, painting, len(photos), finished.iterations)
        trained[name] = Style(vector.detach().cpu(), about)
    checkpoint = Checkpoint(
        network=start.network,
        arguments=start.arguments,
        tensors=model.network.state_dict() if config.add_to is None else start.tensors,
        styles=trained if config.add_to is None else {**start.styles, **trained},
    )
    save_checkpoint(checkpoint, config.output)
    finished.state.unlink(missing_ok=True)
    return checkpoint


class _StyledNetwork(nn.Module):
    """A style network and the vectors of the styles being trained, as one module.

    Attributes:
        network: the network; frozen if only the vectors are trained.
        vectors: of shape (styles, style_size). Their colors, which some networks have, stay.
    """

    def __init__(self, network: nn.Module, vectors: Tensor) -> None:
        """Make the module from a network and initial vectors, shape (styles, style_size)."""
        super().__init__()
        self.network = network
        self.vectors = nn.Parameter(vectors)
        self._fixed = color_size(network)

    def forward(self, images: Tensor, styles: Sequence[int]) -> Tensor:
        """Return images, RGB of shape (B, 3, H, W), image i in the style number styles[i]."""
        vectors = self.vectors[styles]
        if self._fixed:
            trained, colors = vectors.tensor_split([-self._fixed], 1)
            vectors = torch.cat([trained, colors.detach()], 1)
        stylized: Tensor = self.network(images, vectors)
        return stylized


def _network(start: Checkpoint, trained: bool) -> nn.Module:
    """Return the network to start from.

    Args:
        start: the network, with or without weights.
        trained: whether its weights are trained, rather than vectors alone.
    """
    network = build_network(start.network, start.arguments)
    if start.tensors:
        network.load_state_dict(start.tensors)
    return network.requires_grad_(trained)


def _paintings(config: StyleTrainingConfig) -> dict[str, Path]:
    """Return the paintings by the names of their styles.

    Raises:
        ConfigValueError: there are none, or two have the same name.
    """
    if config.style_image is not None:
        # A style of a network of a single style has the checkpoint's name.
        has_many = config.add_to is not None or config.network in MANY_STYLES
        return {(config.style_image if has_many else config.output).stem: config.style_image}
    assert config.style_images is not None, "the config has one of the two"
    try:
        files = list_images(config.style_images)
    except ValueError as error:
        raise ConfigValueError(f"style_images: {error}.") from error
    paintings: dict[str, Path] = {}
    for file in files:
        if file.stem in paintings:
            raise ConfigValueError(
                f"style_images: {file} and {paintings[file.stem]} have the same name, {file.stem}:"
                " rename one of them."
            )
        paintings[file.stem] = file
    return paintings


def _start(config: StyleTrainingConfig, names: Iterable[str]) -> Checkpoint:
    """Return the checkpoint to start from; its tensors are empty for random weights.

    Raises:
        ConfigValueError: the network or checkpoint does not exist, the checkpoint has another
            network, or it has one of the styles to add already.
    """
    if config.add_to is not None:
        return _extended_checkpoint(config.add_to, names)
    try:
        build_network(config.network, config.network_arguments)
    except ValueError as error:
        raise ConfigValueError(f"network or network_arguments: {error}") from error
    if config.start is None:
        return Checkpoint(config.network, {}, {}, dict(config.network_arguments))
    checkpoint = _read_checkpoint("start", config.start)
    if (checkpoint.network, checkpoint.arguments) != (config.network, config.network_arguments):
        raise ConfigValueError(
            f"start: the network of {config.start} is {checkpoint.network} with"
            f" {checkpoint.arguments}, but the config has {config.network} with"
            f" {config.network_arguments}. They must be the same."
        )
    return checkpoint


def _extended_checkpoint(path: Path, names: Iterable[str]) -> Checkpoint:
    """Return the checkpoint to which styles are added.

    Args:
        path: of the checkpoint.
        names: of the styles.

    Raises:
        ConfigValueError: it cannot be read, its network has no style vectors, or it has a style of
            one of these names.
    """
    checkpoint = _read_checkpoint("add_to", path)
    if not any(len(style.vector) for style in checkpoint.styles.values()):
        raise ConfigValueError(
            f"add_to: the network of {path}, {checkpoint.network}, has a single style. Styles can"
            f" be added to {' and '.join(MANY_STYLES)} only."
        )
    for name in names:
        if name in checkpoint.styles:
            raise ConfigValueError(
                f"add_to: {path} has a style {name} already. Rename the painting."
            )
    return checkpoint


def _read_checkpoint(key: str, path: Path) -> Checkpoint:
    """Return a checkpoint whose network can be built.

    Args:
        key: of the config, for the error.
        path: of the checkpoint.

    Raises:
        ConfigValueError: it cannot be read.
    """
    try:
        checkpoint = parse_checkpoint(read_checkpoint_file(path))
        checkpoint.build()
    except (OSError, CheckpointError) as error:
        raise ConfigValueError(f"{key}: {path} cannot be read: {error}") from error
    return checkpoint


def _held_out(
    config: StyleTrainingConfig, trained_on: Sequence[ImageFile], list_files: ListFiles
) -> list[ImageFile]:
    """Return the photos that are not trained on."""
    if not config.held_out:
        return []
    paths = set(map(str, trained_on))
    return [file for file in config.photos(list_files) if str(file) not in paths]


def _validation(
    config: StyleTrainingConfig,
    files: Sequence[ImageFile],
    loss: "_Loss",
    styles: int,
    device: torch.device,
    report: Callable[[str], None],
) -> Callable[[nn.Module], Validation] | None:
    """Return a function that computes the loss on crops of held-out photos; None without photos."""
    if not files:
        return None
    crops = ContentCrops(TrainingImages(files, report), config.crop_size, config.seed)
    content = torch.stack([crops[number] for number in range(_VALIDATION_CROPS)]).to(device)
    style_of_crop = [number % styles for number in range(_VALIDATION_CROPS)]

    @torch.no_grad()
    def validate(model: nn.Module) -> Validation:
        stylized = model(content, style_of_crop)
        return Validation(loss(0, stylized, content, style_of_crop), stylized)

    return validate


class _Loss:
    """The loss of stylized crops: perceptual loss, color loss and grid loss."""

    def __init__(
        self,
        config: StyleTrainingConfig,
        paintings: Iterable[Path],
        device: torch.device,
        precision: torch.dtype,
    ) -> None:
        """Compute what pictures are compared with.

        Args:
            config: the weights of the loss.
            paintings: of the styles, in the order of their numbers.
            device: where to compute.
            precision: of the loss network.

        Raises:
            ConfigValueError, WeightsUnavailableError: as `perceptual_loss` of the config.
        """
        paintings = list(paintings)
        self._config = config
        self._perceptual = config.perceptual_loss(paintings, device, precision)
        self._colors = [
            sample_colors(config.painting(path)[0].to(device))
            for path in (paintings if config.color_weight else ())
        ]

    def __call__(
        self, iteration: int, stylized: Tensor, content: Tensor, styles: Sequence[int]
    ) -> dict[str, Tensor]:
        """Return the weighted terms of the loss, by name.

        Args:
            iteration: decides the random directions of the color loss.
            stylized: RGB, shape (B, 3, H, W), float32.
            content: the crops, of the same shape.
            styles: the number of each crop's style.
        """
        config = self._config
        terms = self._perceptual(stylized, content, styles)._asdict()
        if config.color_weight:
            directions = Draw(config.seed, iteration).noise((_COLOR_DIRECTIONS, 3))
            directions = F.normalize(directions, dim=1).to(stylized.device)
            targets = [self._colors[style] for style in styles]
            terms["color"] = config.color_weight * color_loss(stylized, targets, directions)
        if config.grid_weight:
            terms["grid"] = config.grid_weight * grid_loss(stylized)
        return terms


def _published_config(
    config: StyleTrainingConfig,
    start: Checkpoint,
    painting: Path,
    content_images: int,
    iterations: int,
) -> dict[str, Any]:
    """Return the config for the checkpoint: without local paths, with what the training used."""
    published = config.model_dump(
        mode="json", exclude={"output", "device", "style_images", "tensorboard"}
    )
    published["network"], published["network_arguments"] = start.network, start.arguments
    published["style_image"] = painting.name
    published["style_image_sha256"] = hashlib.sha256(painting.read_bytes()).hexdigest()
    published["content_images"] = f"{content_images} photographs"
    published["add_to"] = config.add_to and config.add_to.name
    published["start"] = config.start and config.start.name
    published["iterations"] = iterations
    return published
