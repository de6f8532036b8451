"""The weights that a training for any painting starts from."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from stylebeam.transforms.checkpoints import (
    Checkpoint,
    CheckpointError,
    parse_checkpoint,
    read_checkpoint_file,
)
from stylebeam.transforms.networks import build_network, style_size
from stylebeam.transforms.prediction.predictor import STYLE_PREDICTOR, StylePredictor
from stylebeam.transforms.training.any_style_config import AnyStyleTrainingConfig
from stylebeam.transforms.training.loop_config import ConfigValueError


class AnyStyleStart(NamedTuple):
    """What a training starts from.

    Attributes:
        network: the state dict of the network, in float32; None for random weights.
        predictor: the state dict of the predictor, in float32; None for random weights.
        vectors: by name, vectors of styles, of a network any_style or multi_style.
    """

    network: Mapping[str, Tensor] | None
    predictor: Mapping[str, Tensor] | None
    vectors: Mapping[str, Tensor]


def read_start(config: AnyStyleTrainingConfig) -> AnyStyleStart:
    """Return what a config says to start from.

    Raises:
        ConfigValueError: a file cannot be read, or its weights do not fit.
    """
    network = build_network("any_style", {})
    tensors = predictor = None
    vectors: Mapping[str, Tensor] = {}
    if config.start is not None:
        checkpoint = _read("start", config.start, ("any_style", "multi_style"))
        tensors = _fitting("start", config.start, checkpoint, network)
        vectors = {name: style.vector.float() for name, style in checkpoint.styles.items()}
    if config.start_predictor is not None:
        checkpoint = _read("start_predictor", config.start_predictor, (STYLE_PREDICTOR,))
        empty = StylePredictor(style_size(network))
        predictor = _fitting("start_predictor", config.start_predictor, checkpoint, empty)
    return AnyStyleStart(tensors, predictor, vectors)


def _read(key: str, path: Path, networks: tuple[str, ...]) -> Checkpoint:
    """Return a checkpoint of one of the networks."""
    try:
        checkpoint = parse_checkpoint(read_checkpoint_file(path))
    except (OSError, CheckpointError) as error:
        raise ConfigValueError(f"{key}: {path} cannot be read: {error}") from error
    if checkpoint.network not in networks:
        raise ConfigValueError(
            f"{key}: the network of {path} is {checkpoint.network}, not {' or '.join(networks)}."
        )
    return checkpoint


def _fitting(key: str, path: Path, checkpoint: Checkpoint, module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint in float32, if a module can load them."""
    tensors = {name: tensor.float() for name, tensor in checkpoint.tensors.items()}
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise ConfigValueError(
            f"{key}: the weights in {path} are of a network of another size. The network to train"
            " has 64 channels and 5 residual blocks."
        ) from error
    return tensors
