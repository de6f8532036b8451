"""Styles predicted from paintings by the shipped predictor."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stylebeam.transforms.checkpoints import CheckpointError, Style, parse_checkpoint
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer
from stylebeam.transforms.networks.any_style import decode_colors
from stylebeam.transforms.prediction.predict import (
    load_predictor,
    network_digest,
    predict_style,
)

ROOT = Path(__file__).parents[3]
WEIGHTS = ROOT / "transforms" / "weights"


@pytest.fixture(scope="module")
def painting() -> Tensor:
    return decode((ROOT / "samples" / "paintings" / "swirls.jpg").read_bytes()).pixels


def test_the_shipped_predictor_is_for_the_shipped_network() -> None:
    checkpoint = parse_checkpoint((WEIGHTS / "any_style.safetensors").read_bytes())
    assert load_predictor().network_digest == network_digest(checkpoint)
    styles = {"mine": Style(torch.zeros(load_predictor().network.style_size))}
    assert network_digest(replace(checkpoint, styles=styles)) == network_digest(checkpoint)


def test_other_weights_have_another_digest() -> None:
    checkpoint = parse_checkpoint((WEIGHTS / "any_style.safetensors").read_bytes())
    name = next(iter(checkpoint.tensors))
    tensors = {**checkpoint.tensors, name: checkpoint.tensors[name] + 1}
    assert network_digest(replace(checkpoint, tensors=tensors)) != network_digest(checkpoint)


def test_both_files_are_at_most_three_megabytes() -> None:
    for name in ("any_style.safetensors", "predictor/any_style.safetensors"):
        assert (WEIGHTS / name).stat().st_size <= 3_000_000


def test_a_prediction_does_not_depend_on_the_number_of_cores(painting: Tensor) -> None:
    network, threads = load_predictor().network, torch.get_num_threads()
    vectors = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        vectors.append(predict_style(network, painting))
        assert torch.get_num_threads() == count
    torch.set_num_threads(threads)
    assert torch.equal(vectors[0], vectors[1])
    assert torch.equal(vectors[0], vectors[2])


def test_a_prediction_depends_on_the_painting_alone(painting: Tensor) -> None:
    network = load_predictor().network
    vector = predict_style(network, painting)
    assert vector.shape == (network.style_size,)
    assert torch.equal(vector, predict_style(network, painting))
    assert not torch.equal(vector, predict_style(network, painting.flip(0)))
    # As precise as in a checkpoint, so that a kept style is the same style.
    assert torch.equal(vector, vector.half().float())


def test_the_colors_of_a_prediction_are_those_of_the_painting(painting: Tensor) -> None:
    mean, root = decode_colors(predict_style(load_predictor().network, painting)[None])
    colors = painting.flatten(1).double() / 255
    assert mean[0].numpy() == pytest.approx(colors.mean(1).numpy(), abs=5e-3)
    covariance = (root @ root.mT)[0].numpy()
    assert covariance == pytest.approx(torch.cov(colors, correction=0).numpy(), abs=5e-3)


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 400), (700, 3), (64, 2000)], ids=lambda shape: f"{shape[0]}x{shape[1]}"
)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_a_painting_of_any_size_has_a_style(shape: tuple[int, int], dtype: torch.dtype) -> None:
    pixels = torch.randint(0, 255, (3, *shape), generator=torch.Generator().manual_seed(3))
    assert predict_style(load_predictor().network, pixels.to(dtype)).isfinite().all()


def test_a_painting_of_one_color_has_a_style() -> None:
    vector = predict_style(load_predictor().network, torch.full((3, 90, 80), 77, dtype=torch.uint8))
    checkpoint = parse_checkpoint((WEIGHTS / "any_style.safetensors").read_bytes())
    stylizer = FeedForwardStylizer(checkpoint, torch.device("cpu"))
    photo = decode((ROOT / "samples" / "photos" / "astronaut.jpg").read_bytes()).pixels
    made = stylizer.stylize(photo[:, :96, :96], styles=vector).float()
    assert made.mean() == pytest.approx(77, abs=3)


def test_a_file_that_is_no_predictor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="it is a checkpoint of the network any_style"):
        load_predictor(WEIGHTS / "any_style.safetensors")
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors cannot be used"):
        load_predictor(tmp_path / "nowhere.safetensors")
