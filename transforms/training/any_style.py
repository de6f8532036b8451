"""Training of a network for any painting, its predictor of styles, and named styles."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.checkpoints import Checkpoint, Style, save_checkpoint
from stylebeam.transforms.images.formats import ImageError
from stylebeam.transforms.losses.borders import ReflectedMargin
from stylebeam.transforms.losses.loss_network import load_loss_network
from stylebeam.transforms.networks import build_network
from stylebeam.transforms.networks.any_style import COLOR_SIZE, AnyStyleNetwork
from stylebeam.transforms.prediction.predict import predictor_checkpoint
from stylebeam.transforms.prediction.predictor import StylePredictor
from stylebeam.transforms.prediction.statistics import LAYERS, STYLE_SIZE, stacked_statistics
from stylebeam.transforms.training.any_style_config import AnyStyleTrainingConfig
from stylebeam.transforms.training.any_style_loss import AnyStyleLoss
from stylebeam.transforms.training.any_style_start import AnyStyleStart, read_start
from stylebeam.transforms.training.data import (
    Draw,
    ImageFile,
    ListFiles,
    TrainingImages,
    files_below,
)
from stylebeam.transforms.training.log import Validation
from stylebeam.transforms.training.loop import run_iterations
from stylebeam.transforms.training.loop_config import TrainingError
from stylebeam.transforms.training.optimizers import optimizers_of
from stylebeam.transforms.training.photo_bank import PhotoBank
from stylebeam.transforms.training.training_styles import StyleBatch, TrainingStyles

_PHOTOS_MEASURED = 100  # crops, for the relative style loss
_VALIDATION_CROPS = 20
# Relative to learning_rate.
_RATE_OF_OFFSETS = 2.5
_RATE_OF_PREDICTOR = 0.5


def train_any_style(
    config: AnyStyleTrainingConfig,
    report: Callable[[str], None] = print,
    list_files: ListFiles = files_below,
) -> Checkpoint:
    """Train a network, its predictor and its named styles; write both files.

    If a training of the same config was interrupted, it resumes from its last state.

    Args:
        config: what to train.
        report: receives lines of progress.
        list_files: lists the files in content_images.

    Returns:
        The checkpoint of the network, with the named styles.

    Raises:
        ConfigValueError: a value of the config cannot be used.
        TrainingError: no photo can be read, or the loss is no longer finite.
        WeightsUnavailableError: the shipped loss network cannot be read.
        DeviceUnavailableError: the device is not available.
    """
    device, precision = config.choose_device()
    config.check_output()
    start = read_start(config)
    torch.manual_seed(config.seed)
    loss_network = ReflectedMargin(load_loss_network("embedded", LAYERS, device, precision))
    photos = config.photos(list_files, without=config.held_out)
    images = TrainingImages(photos, report)
    crops = _bank(images, config, device)
    images.report_left_out()
    some = [crops[number][1:] for number in range(_PHOTOS_MEASURED)]
    loss = AnyStyleLoss(config.loss_weights, loss_network, some, config.seed)
    styles = TrainingStyles(config, loss_network, device, report)
    model = _Model(len(config.styles))
    _prepare(model, start, config, styles)
    model.to(device).to(memory_format=torch.channels_last)
    # On a CPU, compilation would not save time.
    forward = torch.compile(model.network) if device.type == "cuda" else model.network

    def terms_of(iteration: int, pairs: Tensor) -> dict[str, Tensor]:
        # The predictor's dropout must not depend on the iterations that this process has done.
        torch.manual_seed(Draw(config.seed + 2, iteration).integer(0, 2**62))
        seen, compared = pairs.unbind(1)
        batch = styles.batch(iteration * len(pairs), len(pairs))
        vectors = model.vectors(batch)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            stylized = forward(seen.contiguous(memory_format=torch.channels_last), vectors)
        return loss(iteration, stylized.float(), compared, batch.targets)

    finished = run_iterations(
        config,
        model,
        crops,
        terms_of,
        report,
        _optimizers(model, config.learning_rate),
        config.ema_decay,
        _validation(config, photos, styles, loss, device, report, list_files),
    )
    published = _published_config(config, len(photos), finished.iterations)
    checkpoint = Checkpoint(
        "any_style", model.network.state_dict(), _named_styles(config, model, styles, published)
    )
    predictor = predictor_checkpoint(model.predictor, checkpoint, published)
    save_checkpoint(checkpoint, config.output)
    save_checkpoint(predictor, config.predictor)
    finished.state.unlink(missing_ok=True)
    return checkpoint


class _Model(nn.Module):
    """What is trained: the network, the predictor, and the differences of named styles.

    Attributes:
        network: the network.
        predictor: predicts the vector of each style from its painting.
        offsets: for each named style, what its vector has beyond the prediction.
    """

    def __init__(self, named: int) -> None:
        """Build the model with random weights, for a number of named styles."""
        super().__init__()
        network = build_network("any_style", {})
        assert isinstance(network, AnyStyleNetwork)
        self.network = network
        self.predictor = StylePredictor(network.style_size)
        # Sparse, so that a step changes only the styles of its crops. The last row is for crops
        # without a named style, and has no effect.
        self.offsets = nn.Embedding(named + 1, network.style_size, sparse=True)
        nn.init.zeros_(self.offsets.weight)

    def vectors(self, batch: StyleBatch) -> Tensor:
        """Return the vectors of a batch's styles, shape (N, style_size)."""
        statistics = stacked_statistics([target.statistics for target in batch.targets])
        predicted: Tensor = self.predictor(statistics)
        is_named = (batch.named >= 0).to(predicted)[:, None]
        offsets: Tensor = self.offsets(batch.named.to(predicted.device) % len(self.offsets.weight))
        return predicted + is_named * offsets

    def forward(self, photos: Tensor, batch: StyleBatch) -> Tensor:
        """Return photos, RGB in [0, 1] of shape (N, 3, H, W), in the styles of a batch."""
        stylized: Tensor = self.network(photos, self.vectors(batch))
        return stylized


@torch.no_grad()
def _prepare(
    model: _Model, start: AnyStyleStart, config: AnyStyleTrainingConfig, styles: TrainingStyles
) -> None:
    """Set the weights that a training starts from.

    A named style of the checkpoint to start from begins with its vector, except the colors, which
    are the painting's own.
    """
    size = model.network.style_size
    if start.network is not None:
        model.network.load_state_dict(start.network)
    # A multi-style network has vectors without colors.
    vectors = {name: F.pad(each, (0, size - len(each))) for name, each in start.vectors.items()}
    if start.predictor is not None:
        model.predictor.load_state_dict(start.predictor)
    else:
        many = len(vectors) > 1
        some = torch.stack(list(vectors.values())) if many else torch.randn(16, size)
        model.predictor.fit(styles.statistics(), some)
    model.predictor.eval()
    for number, (name, target) in enumerate(zip(config.styles, styles.named, strict=True)):
        if name in vectors:
            offset = vectors[name] - model.predictor(target.statistics)[0]
            offset[size - COLOR_SIZE :] = 0
            model.offsets.weight[number] = offset


def _optimizers(model: _Model, rate: float) -> list[torch.optim.Optimizer]:
    """Return Muon and Adam for the network and the predictor, and SparseAdam for the offsets."""
    offsets = torch.optim.SparseAdam([model.offsets.weight], lr=_RATE_OF_OFFSETS * rate)
    of_predictor = {
        parameter: _RATE_OF_PREDICTOR * rate
        for parameter in model.predictor.parameters()
        if parameter.requires_grad
    }
    # Without gradients for a moment, so that the offsets have one optimizer.
    model.offsets.requires_grad_(False)
    optimizers = optimizers_of(model, "muon", rate, of_predictor)
    model.offsets.requires_grad_(True)
    return [*optimizers, offsets]


def _bank(
    photos: TrainingImages, config: AnyStyleTrainingConfig, device: torch.device
) -> PhotoBank:
    """Return the crops of photos.

    Raises:
        TrainingError: no photo can be read.
    """
    try:
        return PhotoBank(photos, config.crop_size, config.seed, device)
    except ImageError as error:
        raise TrainingError(str(error)) from error
    except OSError as error:
        raise TrainingError(f"{error} Give the same command again.") from error


def _validation(
    config: AnyStyleTrainingConfig,
    trained_on: Sequence[ImageFile],
    styles: TrainingStyles,
    loss: AnyStyleLoss,
    device: torch.device,
    report: Callable[[str], None],
    list_files: ListFiles,
) -> Callable[[nn.Module], Validation] | None:
    """Return a function that computes the loss of held-out paintings on held-out photos.

    It is None unless some of both are held out.
    """
    if not (config.held_out or config.held_out_paintings):
        return None
    paths = set(map(str, trained_on))
    held_out = [photo for photo in config.photos(list_files) if str(photo) not in paths]
    if not held_out or not styles.held_out:
        counts = f"{len(styles.held_out)} paintings and {len(held_out)} photos are held out"
        report(f"{counts}: no held-out loss is reported, which needs some of both.")
        return None
    crops = _bank(TrainingImages(held_out, report), config, device)
    pairs = [
        (crops[number], styles.held_out[number % len(styles.held_out)])
        for number in range(_VALIDATION_CROPS)
    ]

    @torch.no_grad()
    def validate(model: nn.Module) -> Validation:
        was_training = model.training
        model.eval()
        pictures, terms = [], []
        for crop, target in pairs:
            picture = model(crop[:1], StyleBatch([target], torch.tensor([-1])))
            terms.append(loss(0, picture, crop[1:], [target]))
            pictures.append(picture)
        model.train(was_training)
        means = {name: torch.stack([each[name] for each in terms]).mean() for name in terms[0]}
        return Validation(means, torch.cat(pictures))

    return validate


@torch.no_grad()
def _named_styles(
    config: AnyStyleTrainingConfig, model: _Model, styles: TrainingStyles, published: dict[str, Any]
) -> dict[str, Style]:
    """Return the named styles, with what the checkpoint says of their training."""
    named = {}
    for number, (name, style) in enumerate(config.styles.items()):
        batch = StyleBatch([styles.named[number]], torch.tensor([number]))
        path = config.paintings / style.painting
        about = {
            **published,
            **style.model_dump(exclude={"painting", "weight"}),
            "style_image": path.name,
            "style_image_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        named[name] = Style(model.vectors(batch)[0].cpu(), about)
    return named


def _published_config(
    config: AnyStyleTrainingConfig, content_images: int, iterations: int
) -> dict[str, Any]:
    """Return the config for checkpoints: without local paths, with what the training used."""
    published = config.model_dump(
        mode="json",
        exclude={"output", "predictor", "device", "paintings", "tensorboard", "styles"},
    )
    published["content_images"] = f"{content_images} photographs"
    published["start"] = config.start and config.start.name
    published["start_predictor"] = config.start_predictor and config.start_predictor.name
    published["iterations"] = iterations
    published["loss_network"] = "embedded"
    published["style_size"] = STYLE_SIZE
    return published
