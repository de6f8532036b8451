"""Predicts a style from its painting, with the predictor that is shipped."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stylebeam.transforms.checkpoints import (
    Checkpoint,
    CheckpointError,
    misfit,
    parse_checkpoint,
    read_checkpoint_file,
    weights_digest,
)
from stylebeam.transforms.images.pixels import to_unit_range
from stylebeam.transforms.losses.borders import ReflectedMargin
from stylebeam.transforms.losses.distilled_vgg import load_distilled_vgg
from stylebeam.transforms.prediction.predictor import STYLE_PREDICTOR, StylePredictor
from stylebeam.transforms.prediction.statistics import (
    LAYERS,
    PaintingStatistics,
    at_style_size,
    measure_painting,
)

SHIPPED_PREDICTOR = Path(__file__).parents[1] / "weights" / "predictor" / "any_style.safetensors"


class Predictor(NamedTuple):
    """A predictor that was read from a file.

    Attributes:
        network: the predictor itself, frozen.
        digest: the SHA-256 of the file, in hexadecimal.
        network_digest: the `network_digest` of the network whose styles it predicts.
    """

    network: StylePredictor
    digest: str
    network_digest: str


@cache
def load_predictor(path: Path = SHIPPED_PREDICTOR) -> Predictor:
    """Return the predictor in a file.

    Raises:
        CheckpointError: the file cannot be read, or is not a predictor.
    """
    try:
        data = read_checkpoint_file(path)
        checkpoint = parse_checkpoint(data)
        if checkpoint.network != STYLE_PREDICTOR:
            raise CheckpointError(f"it is a checkpoint of the network {checkpoint.network}")
        network = StylePredictor(checkpoint.arguments["style_size"])
        if mistake := misfit(checkpoint.tensors, network.state_dict()):
            raise CheckpointError(mistake)
        network.load_state_dict(
            {name: tensor.float() for name, tensor in checkpoint.tensors.items()}
        )
        predictable = checkpoint.training["network_digest"]
    except (OSError, CheckpointError) as error:
        raise CheckpointError(f"The predictor {path} cannot be used: {error}") from error
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"The predictor {path} cannot be used: its tensors or its metadata do not fit."
        ) from error
    return Predictor(network.eval().requires_grad_(False), weights_digest(data), predictable)


def predictor_checkpoint(
    predictor: StylePredictor, network: Checkpoint, about: Mapping[str, Any]
) -> Checkpoint:
    """Return the checkpoint of a predictor, for `save_checkpoint`.

    Args:
        predictor: the predictor.
        network: the network whose styles it predicts.
        about: how it was trained, as plain values.
    """
    return Checkpoint(
        STYLE_PREDICTOR,
        predictor.state_dict(),
        {},
        {"style_size": predictor.style_size},
        {**about, "network_digest": network_digest(network)},
    )


def network_digest(checkpoint: Checkpoint) -> str:
    """Return a digest of a network's weights, which stays the same when styles are added."""
    digest = hashlib.sha256(checkpoint.network.encode())
    for name, tensor in sorted(checkpoint.tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.half().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


@torch.inference_mode()
def predict_style(predictor: StylePredictor, painting: Tensor) -> Tensor:
    """Return the vector of a painting's style, in float32 with the precision of a checkpoint.

        vector = predict_style(load_predictor().network, decode(data).pixels)

    Args:
        predictor: the network of `load_predictor`.
        painting: RGB, uint8 or uint16 of shape (3, H, W), of any size from 1x1 up.
    """
    with _on_one_core():
        vector: Tensor = predictor(painting_statistics(painting))[0]
    return vector.half().float()


@contextlib.contextmanager
def _on_one_core() -> Iterator[None]:
    """Compute on one core: the last bits of sums over several depend on their number.

    A painting's style is then the same on every machine, and takes as long as on two cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def painting_statistics(painting: Tensor) -> PaintingStatistics:
    """Return the statistics of a painting, RGB, uint8 or uint16 of shape (3, H, W)."""
    images = at_style_size(to_unit_range(painting[None]))
    return measure_painting(statistics_network(), images)


@cache
def statistics_network() -> ReflectedMargin:
    """Return the distilled VGG as statistics are measured with, on the CPU in float32."""
    return ReflectedMargin(load_distilled_vgg(LAYERS))
