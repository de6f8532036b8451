"""The vectors that the training of styles starts from."""

from pathlib import Path

import torch

from stylebeam.transforms.checkpoints import Checkpoint, Style, parse_checkpoint
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.networks import build_network
from stylebeam.transforms.networks.any_style import decode_colors
from stylebeam.transforms.prediction.predict import load_predictor, predict_style
from stylebeam.transforms.training.initial_vectors import initial_vectors
from stylebeam.transforms.training.style_config import StyleTrainingConfig

ROOT = Path(__file__).parents[3]
PAINTING = ROOT / "samples" / "paintings" / "swirls.jpg"


def config() -> StyleTrainingConfig:
    # At its own size, so that it is not resized twice.
    side = min(decode(PAINTING.read_bytes()).pixels.shape[1:])
    return StyleTrainingConfig(
        style_image=PAINTING, content_images="photos", output=Path("x"), style_size=side
    )


def test_a_new_style_of_the_shipped_network_starts_from_its_prediction() -> None:
    path = ROOT / "transforms" / "weights" / "any_style.safetensors"
    start = parse_checkpoint(path.read_bytes())
    names = {"new": PAINTING, "starry_night": PAINTING}
    [new, known] = initial_vectors(config(), start.build(), start, names)
    painting = decode(PAINTING.read_bytes()).pixels
    assert torch.equal(new, predict_style(load_predictor().network, painting))
    assert torch.equal(known, start.styles["starry_night"].vector.float())


def test_a_new_style_of_another_network_starts_from_the_mean_with_its_own_colors() -> None:
    torch.manual_seed(3)
    network = build_network("any_style", {})
    one, other = torch.randn(2, network.style_size)
    styles = {"one": Style(one), "other": Style(other)}
    start = Checkpoint("any_style", network.state_dict(), styles)
    [vector] = initial_vectors(config(), network, start, {"new": PAINTING})
    assert torch.allclose(vector[:-12], (one + other)[:-12] / 2)
    mean, _ = decode_colors(vector[None])
    pixels = decode(PAINTING.read_bytes()).pixels / 255
    assert torch.allclose(mean[0], pixels.mean((1, 2)), atol=1e-3)


def test_the_first_styles_of_a_network_without_colors_start_from_zeros() -> None:
    network = build_network("multi_style", {"channels": 16, "blocks": 1})
    start = Checkpoint("multi_style", {}, {}, {"channels": 16, "blocks": 1})
    [vector] = initial_vectors(config(), network, start, {"new": PAINTING})
    assert vector.shape == (network.style_size,)
    assert not vector.any()
