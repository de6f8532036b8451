"""The vectors that the training of styles starts from."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from stylebeam.transforms.checkpoints import Checkpoint
from stylebeam.transforms.images.pixels import from_unit_range
from stylebeam.transforms.networks import style_size
from stylebeam.transforms.networks.any_style import COLOR_SIZE, AnyStyleNetwork, encode_colors
from stylebeam.transforms.prediction.predict import load_predictor, network_digest, predict_style
from stylebeam.transforms.training.style_config import StyleTrainingConfig


def initial_vectors(
    config: StyleTrainingConfig,
    network: nn.Module,
    start: Checkpoint,
    paintings: Mapping[str, Path],
) -> Tensor:
    """Return the vectors to start from, shape (styles, style_size).

    A style of the checkpoint starts from its vector. A new one starts from its prediction if the
    network is the one of the shipped predictor, otherwise from the mean of the known styles.

    Args:
        config: has the size of the paintings.
        network: the network.
        start: the network's weights, and the styles that are known.
        paintings: by the name of the style, in the order of their numbers.

    Raises:
        ConfigValueError: a painting that is needed cannot be read.
    """
    known = {name: style.vector.float() for name, style in start.styles.items()}
    predictor = load_predictor()
    predicts = bool(start.tensors) and network_digest(start) == predictor.network_digest
    vectors = []
    for name, path in paintings.items():
        if name in known:
            vectors.append(known[name])
        elif predicts:
            painting = from_unit_range(config.painting(path)[0], torch.uint8)
            vectors.append(predict_style(predictor.network, painting))
        else:
            vectors.append(_mean_style(config, network, list(known.values()), path))
    return torch.stack(vectors)


def color_size(network: nn.Module) -> int:
    """Return how many numbers at the end of a vector are the painting's colors: not trained."""
    return COLOR_SIZE if isinstance(network, AnyStyleNetwork) else 0


def _mean_style(
    config: StyleTrainingConfig, network: nn.Module, known: list[Tensor], painting: Path
) -> Tensor:
    """Return the mean of the known vectors, or zeros, with the colors of a painting."""
    vector = torch.stack(known).mean(0) if known else torch.zeros(style_size(network))
    if count := color_size(network):
        pixels = config.painting(painting)[0].flatten(1)
        [colors] = encode_colors(pixels.mean(1)[None], torch.cov(pixels, correction=0)[None])
        vector[-count:] = colors
    return vector
