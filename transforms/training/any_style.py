"""Training of a network for any painting, of what predicts its styles, and of named styles."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.checkpoints import (
    Checkpoint,
    CheckpointError,
    Style,
    parse_checkpoint,
    save_checkpoint,
)
from stylebeam.transforms.losses.borders import ReflectedMargin
from stylebeam.transforms.losses.color import color_loss
from stylebeam.transforms.losses.functional import (
    feature_reconstruction_loss,
    grid_loss,
    total_variation_loss,
)
from stylebeam.transforms.losses.loss_network import load_loss_network
from stylebeam.transforms.losses.relative_style import RelativeStyleLoss
from stylebeam.transforms.networks import build_network
from stylebeam.transforms.networks.any_style import COLOR_SIZE, AnyStyleNetwork
from stylebeam.transforms.prediction.predictor import StylePredictor
from stylebeam.transforms.prediction.statistics import (
    LAYERS,
    PaintingStatistics,
    at_style_size,
    stacked_statistics,
)
from stylebeam.transforms.training.any_style_config import AnyStyleTrainingConfig
from stylebeam.transforms.training.data import (
    Draw,
    ListFiles,
    files_below,
    list_images,
    read_style_image,
)
from stylebeam.transforms.training.log import Validation
from stylebeam.transforms.training.loop import run_iterations
from stylebeam.transforms.training.loop_config import ConfigValueError
from stylebeam.transforms.training.optimizers import optimizers_of
from stylebeam.transforms.training.painting_variants import (
    StyleTarget,
    as_float,
    halved,
    mixed_target,
    target_of,
    variant,
)
from stylebeam.transforms.training.photo_bank import PhotoBank

_CONTENT_LAYER = "relu3_1"
_STYLE_WEIGHTS = {"relu1_1": 4.0, "relu2_1": 24.0, "relu3_1": 24.0, "relu4_1": 8.0, "relu5_1": 8.0}
_PHOTOS_MEASURED = 100
_COLOR_DIRECTIONS = 16
_PART_MIXED = 0.4
_RATE_OF_OFFSETS = 2.5  # relative to learning_rate
_RATE_OF_PREDICTOR = 0.5
# Colors outside [0, 1] are clipped in pictures. In the loss a tenth of what is outside remains, so
# that the network learns to avoid them.
_LEAK = 0.1
_VALIDATION_CROPS = 20


class _Batch(NamedTuple):
    """The styles of a batch of N crops.

    Attributes:
        targets: the styles.
        named: the number of each crop's named style, or -1.
    """

    targets: Sequence[StyleTarget]
    named: Tensor


class _Styles:
    """The styles of the paintings of a training.

    Attributes:
        named: the targets of the named styles.
        held_out: the targets of the paintings that are not trained on.
    """

    def __init__(
        self,
        config: AnyStyleTrainingConfig,
        network: ReflectedMargin,
        device: torch.device,
        report: Callable[[str], None],
    ) -> None:
        self._config = config
        paintings = list_images(config.paintings, config.held_out_paintings)
        held_out = sorted(set(list_images(config.paintings)) - set(paintings))

        def whole(path: Path) -> StyleTarget:
            return target_of(network, at_style_size(read_style_image(path, None).to(device)))

        self.named = [whole(config.paintings / each.painting) for each in config.styles.values()]
        self.held_out = [whole(path) for path in held_out]
        self.weights = torch.tensor([each.weight for each in config.styles.values()])
        self.targets: list[StyleTarget] = []
        for number, path in enumerate(paintings):
            self.targets.append(halved(whole(path)))
            for index in range(1, config.variants):
                draw = Draw(config.seed, number * config.variants + index)
                self.targets.append(
                    halved(target_of(network, variant(paintings, number, draw, device)))
                )
            if number % 20 == 19:
                report(f"{number + 1} of {len(paintings)} paintings measured")

    def statistics(self) -> PaintingStatistics:
        """Return the statistics of one in four of the targets."""
        return stacked_statistics([as_float(each.statistics) for each in self.targets[::4]])

    def batch(self, first: int, count: int) -> _Batch:
        """Return the styles of the crops from number `first` on."""
        targets, named = [], []
        for number in range(first, first + count):
            draw = Draw(self._config.seed + 1, number)
            index = -1
            if self.named and draw.uniform(0, 1) < self._config.share_of_styles:
                index = int(torch.multinomial(self.weights, 1, generator=draw.generator))
                targets.append(self.named[index])
            elif draw.uniform(0, 1) < _PART_MIXED:
                targets.append(mixed_target(self.targets, draw))
            else:
                one = self.targets[draw.integer(0, len(self.targets) - 1)]
                targets.append(StyleTarget(as_float(one.statistics), one.colors))
            named.append(index)
        return _Batch(targets, torch.tensor(named))


class _Model(nn.Module):
    """What is trained: the network, the predictor, and what the named styles add to predictions."""

    def __init__(self, named: int) -> None:
        super().__init__()
        network = build_network("any_style", {})
        assert isinstance(network, AnyStyleNetwork)
        self.network = network
        self.predictor = StylePredictor(network.style_size)
        # Sparse, so that a step changes only the styles of its crops. The last one is of no style.
        self.offsets = nn.Embedding(named + 1, network.style_size, sparse=True)
        nn.init.zeros_(self.offsets.weight)

    def vectors(self, batch: _Batch) -> Tensor:
        """Return the vectors of a batch's styles, shape (N, style_size)."""
        statistics = stacked_statistics([target.statistics for target in batch.targets])
        predicted: Tensor = self.predictor(statistics)
        is_named = (batch.named >= 0).to(predicted)[:, None]
        offsets: Tensor = self.offsets(batch.named.to(predicted.device) % len(self.offsets.weight))
        return predicted + is_named * offsets

    def forward(self, photos: Tensor, batch: _Batch) -> Tensor:
        stylized: Tensor = self.network(photos, self.vectors(batch))
        return stylized


class _Loss:
    """The loss of pictures against their photos and paintings."""

    def __init__(
        self, config: AnyStyleTrainingConfig, network: ReflectedMargin, photos: PhotoBank
    ) -> None:
        self._config = config
        self._network = network
        with torch.no_grad():
            measured = [photos[number][1:] for number in range(_PHOTOS_MEASURED)]
            self._style = RelativeStyleLoss(network, _STYLE_WEIGHTS, measured)

    def __call__(
        self, number: int, stylized: Tensor, photos: Tensor, targets: Sequence[StyleTarget]
    ) -> dict[str, Tensor]:
        """Return the weighted terms of the loss, by name."""
        config = self._config
        clipped = stylized.clamp(0, 1)
        pictures = clipped + _LEAK * (stylized - clipped)
        with torch.no_grad():
            content = self._network(photos, [_CONTENT_LAYER])[_CONTENT_LAYER]
        features = self._network(pictures, LAYERS)
        grams = {
            layer: torch.cat([target.statistics.whole.grams[layer] for target in targets])
            for layer in LAYERS
        }
        directions = F.normalize(Draw(config.seed, number).noise((_COLOR_DIRECTIONS, 3)), dim=1)
        colors = color_loss(
            pictures, [target.colors for target in targets], directions.to(pictures)
        )
        return {
            "content": config.content_weight
            * feature_reconstruction_loss(features[_CONTENT_LAYER], content),
            "style": config.style_weight * self._style(features, grams).mean(),
            "color": config.color_weight * colors,
            "total_variation": config.total_variation_weight * total_variation_loss(pictures),
            "grid": config.grid_weight * grid_loss(pictures),
        }


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
        The checkpoint of the network.

    Raises:
        ConfigValueError: a value of the config cannot be used.
        TrainingError: a photo cannot be read, or the loss is no longer finite.
        DeviceUnavailableError: the device is not available.
    """
    device, precision = config.choose_device()
    config.check_output()
    torch.manual_seed(config.seed)
    loss_network = ReflectedMargin(load_loss_network("embedded", LAYERS, device, precision))
    photos = config.photos(list_files, without=config.held_out)
    crops = PhotoBank(photos, config.crop_size, config.seed, device)
    loss = _Loss(config, loss_network, crops)
    styles = _Styles(config, loss_network, device, report)
    model = _Model(len(config.styles))
    _start(config, model, styles)
    model.to(device).to(memory_format=torch.channels_last)
    forward = torch.compile(model.network) if device.type == "cuda" else model.network

    def terms_of(iteration: int, crops: Tensor) -> dict[str, Tensor]:
        seen, compared = crops.unbind(1)
        batch = styles.batch(iteration * len(crops), len(crops))
        vectors = model.vectors(batch)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            stylized = forward(seen.contiguous(memory_format=torch.channels_last), vectors)
        return loss(iteration, stylized.float(), compared, batch.targets)

    rate = config.learning_rate
    offsets = torch.optim.SparseAdam([model.offsets.weight], lr=_RATE_OF_OFFSETS * rate)
    of_predictor = {
        parameter: _RATE_OF_PREDICTOR * rate
        for parameter in model.predictor.parameters()
        if parameter.requires_grad
    }
    model.offsets.requires_grad_(False)
    optimizers = [*optimizers_of(model, "muon", rate, of_predictor), offsets]
    model.offsets.requires_grad_(True)
    finished = run_iterations(
        config,
        model,
        crops,
        terms_of,
        report,
        optimizers,
        config.ema_decay,
        _validation(config, styles, loss, device, list_files),
    )
    checkpoint = _checkpoint(config, model, styles, len(photos), finished.iterations)
    save_checkpoint(checkpoint, config.output)
    save_checkpoint(
        Checkpoint(
            "style_predictor", model.predictor.state_dict(), {}, training=_published(config)
        ),
        config.predictor,
    )
    finished.state.unlink(missing_ok=True)
    return checkpoint


def _start(config: AnyStyleTrainingConfig, model: _Model, styles: _Styles) -> None:
    """Give a model the weights to start from."""
    size = model.network.style_size
    known: dict[str, Tensor] = {}
    if config.start is not None:
        checkpoint = _read("start", config.start)
        model.network.load_state_dict({k: v.float() for k, v in checkpoint.tensors.items()})
        known = {name: style.vector.float() for name, style in checkpoint.styles.items()}
    if config.start_predictor is not None:
        tensors = _read("start_predictor", config.start_predictor).tensors
        model.predictor.load_state_dict({name: each.float() for name, each in tensors.items()})
    else:
        vectors = [F.pad(each, (0, size - len(each))) for each in known.values()]
        some = torch.stack(vectors) if len(vectors) > 1 else torch.randn(16, size)
        model.predictor.fit(styles.statistics(), some)
    model.predictor.eval()
    with torch.no_grad():
        for number, (name, target) in enumerate(zip(config.styles, styles.named, strict=True)):
            if name in known:
                predicted = model.predictor(target.statistics)[0]
                offset = F.pad(known[name], (0, size - len(known[name]))) - predicted
                offset[size - COLOR_SIZE :] = 0
                model.offsets.weight[number] = offset


def _read(key: str, path: Path) -> Checkpoint:
    try:
        return parse_checkpoint(path.read_bytes())
    except (OSError, CheckpointError) as error:
        raise ConfigValueError(f"{key}: {path} cannot be read: {error}") from error


def _validation(
    config: AnyStyleTrainingConfig,
    styles: _Styles,
    loss: _Loss,
    device: torch.device,
    list_files: ListFiles,
) -> Callable[[nn.Module], Validation] | None:
    """Return a function that computes the loss of held-out paintings on held-out photos."""
    photos = config.photos(list_files)
    without = set(map(str, config.photos(list_files, without=config.held_out)))
    held_out = [file for file in photos if str(file) not in without]
    if not held_out or not styles.held_out:
        return None
    crops = PhotoBank(held_out, config.crop_size, config.seed, device)
    pairs = [
        (crops[number], styles.held_out[number % len(styles.held_out)])
        for number in range(_VALIDATION_CROPS)
    ]

    @torch.no_grad()
    def validate(model: nn.Module) -> Validation:
        was_training = model.training
        model.eval()
        stylized, terms = [], []
        for crop, target in pairs:
            made = model(crop[:1], _Batch([target], torch.tensor([-1])))
            terms.append(loss(0, made, crop[1:], [target]))
            stylized.append(made)
        model.train(was_training)
        means = {name: torch.stack([each[name] for each in terms]).mean() for name in terms[0]}
        return Validation(means, torch.cat(stylized))

    return validate


@torch.no_grad()
def _checkpoint(
    config: AnyStyleTrainingConfig, model: _Model, styles: _Styles, photos: int, iterations: int
) -> Checkpoint:
    made = {}
    published = {
        **_published(config),
        "content_images": f"{photos} photographs",
        "iterations": iterations,
        "loss_network": "embedded",
        "style_size": 512,
    }
    for number, (name, about) in enumerate(config.styles.items()):
        vector = model.vectors(_Batch([styles.named[number]], torch.tensor([number])))[0].cpu()
        path = config.paintings / about.painting
        facts = {
            **published,
            **about.model_dump(exclude={"painting", "weight"}),
            "style_image": path.name,
            "style_image_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        made[name] = Style(vector, facts)
    return Checkpoint("any_style", model.network.state_dict(), made)


def _published(config: AnyStyleTrainingConfig) -> Mapping[str, Any]:
    """Return the config for a checkpoint, without paths and what each style says itself."""
    published = config.model_dump(
        mode="json",
        exclude={"output", "predictor", "device", "paintings", "tensorboard", "styles"},
    )
    for key in ("start", "start_predictor"):
        path = getattr(config, key)
        published[key] = path and path.name
    return published
