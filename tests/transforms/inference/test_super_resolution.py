"""Tests of super-resolution: sizes, tiles and checkpoints."""

from pathlib import Path

import pytest
import torch

from stylebeam.transforms.checkpoints import (
    Checkpoint,
    CheckpointError,
    parse_checkpoint,
    save_checkpoint,
)
from stylebeam.transforms.inference import super_resolution
from stylebeam.transforms.inference.super_resolution import SuperResolutionEngine, reduced
from stylebeam.transforms.networks import build_network

CPU = torch.device("cpu")
FACTORS = [2, 4, pytest.param(8, marks=pytest.mark.slow)]


def checkpoint(factor: int = 4) -> Checkpoint:
    torch.manual_seed(0)
    network = build_network("super_resolution", {"factor": factor})
    return Checkpoint("super_resolution", network.state_dict(), {}, {"factor": factor})


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (17, 24)])
def test_every_size_is_enlarged_by_the_factor(factor: int, size: tuple[int, int]) -> None:
    pixels = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    large = SuperResolutionEngine(checkpoint(factor), CPU).transform(pixels)
    assert large.dtype == torch.uint8
    assert large.shape == (3, factor * size[0], factor * size[1])


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("upsampling", ["transposed", "nearest", "nearest_and_bilinear"])
def test_an_image_in_tiles_equals_the_image_as_a_whole(
    factor: int, upsampling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    arguments = {"factor": factor, "upsampling": upsampling}
    network = build_network("super_resolution", arguments)
    made = Checkpoint("super_resolution", network.state_dict(), {}, arguments)
    resolver = SuperResolutionEngine(made, CPU, torch.float32)
    pixels = torch.randint(0, 256, (3, 75, 54), dtype=torch.uint8)
    whole = resolver.transform(pixels)
    monkeypatch.setattr(super_resolution, "TILE_SIDE", 25)
    difference = (resolver.transform(pixels).int() - whole.int()).abs()
    assert difference.max() <= 1  # Kernels for other sizes round differently.
    assert (difference > 0).float().mean() < 1e-3


def test_a_checkpoint_keeps_the_running_statistics(tmp_path: Path) -> None:
    made = checkpoint()
    made.tensors["first.norm.num_batches_tracked"].fill_(100_001)
    made.tensors["first.norm.running_mean"].fill_(0.25)
    save_checkpoint(made, tmp_path / "x4.safetensors")
    read = parse_checkpoint((tmp_path / "x4.safetensors").read_bytes())
    state = read.build().state_dict()
    assert state["first.norm.num_batches_tracked"] == 100_001
    assert (state["first.norm.running_mean"] == 0.25).all()


def test_the_checkpoint_of_a_style_network_is_refused(checkpoint_path: Path) -> None:
    with pytest.raises(CheckpointError, match="of the network johnson, not super_resolution"):
        SuperResolutionEngine(parse_checkpoint(checkpoint_path.read_bytes()), CPU)


def test_reduced_images_keep_their_means() -> None:
    steps = torch.tensor([10.0, 200.0]).repeat_interleave(40).expand(1, 3, 12, 80) / 255
    small = reduced(steps, 4)
    assert small.shape == (1, 3, 3, 20)
    torch.testing.assert_close(small[..., :8] * 255, torch.full((1, 3, 3, 8), 10.0))
    torch.testing.assert_close(small[..., -8:] * 255, torch.full((1, 3, 3, 8), 200.0))
    assert reduced(torch.rand(1, 3, 15, 9), 4).shape == (1, 3, 3, 2)
