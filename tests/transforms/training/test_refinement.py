"""Refinement of a style's vector on a few photos."""

from pathlib import Path

import pytest
import torch

from stylebeam.transforms.checkpoints import parse_checkpoint
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.losses.borders import ReflectedMargin
from stylebeam.transforms.losses.loss_network import load_loss_network
from stylebeam.transforms.prediction.predict import load_predictor, predict_style
from stylebeam.transforms.prediction.statistics import LAYERS
from stylebeam.transforms.training.any_style_loss import AnyStyleLoss, LossWeights
from stylebeam.transforms.training.refinement import refine_style
from stylebeam.transforms.training.style_targets import target_of

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_a_refined_style_has_a_smaller_loss_and_the_same_colors() -> None:
    checkpoint = parse_checkpoint(
        (ROOT / "transforms" / "weights" / "any_style.safetensors").read_bytes()
    )
    painting = decode((ROOT / "samples" / "paintings" / "swirls.jpg").read_bytes()).pixels
    photo = decode((ROOT / "samples" / "photos" / "canyon.jpg").read_bytes()).pixels
    before = predict_style(load_predictor().network, painting)
    after = refine_style(checkpoint, before, painting, [photo], steps=8)
    once = refine_style(checkpoint, before, painting, [photo], steps=2)
    assert torch.equal(once, refine_style(checkpoint, before, painting, [photo], steps=2))
    assert torch.equal(after[-12:], before[-12:])

    loss_network = ReflectedMargin(
        load_loss_network("embedded", LAYERS, torch.device("cpu"), torch.float32)
    )
    photos = [photo[None, :, top : top + 256, :256] / 255 for top in (0, 40)]
    loss = AnyStyleLoss(LossWeights(), loss_network, photos, seed=5)
    target = target_of(loss_network, painting[None] / 255)
    network = checkpoint.build()
    first, second = (
        sum(loss(0, network(photos[0], vector[None]), photos[0], [target]).values()).item()
        for vector in (before, after)
    )
    assert second < 0.97 * first
