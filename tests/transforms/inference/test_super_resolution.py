"""Super-resolution: sizes, training, what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from stylebeam.transforms.checkpoints import (
    Checkpoint,
    CheckpointError,
    parse_checkpoint,
    save_checkpoint,
)
from stylebeam.transforms.inference import super_resolution
from stylebeam.transforms.inference.super_resolution import SuperResolutionEngine, reduced
from stylebeam.transforms.networks import build_network
from stylebeam.transforms.training import loop
from stylebeam.transforms.training.loop_config import ConfigValueError
from stylebeam.transforms.training.super_resolution import (
    SuperResolutionTrainingConfig,
    train_super_resolution,
)

CPU = torch.device("cpu")


def checkpoint(factor: int = 4) -> Checkpoint:
    torch.manual_seed(0)
    network = build_network("super_resolution", {"factor": factor})
    return Checkpoint("super_resolution", network.state_dict(), {}, {"factor": factor})


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (17, 24)])
def test_every_size_grows_by_the_factor(factor: int, size: tuple[int, int]) -> None:
    pixels = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    large = SuperResolutionEngine(checkpoint(factor), CPU).transform(pixels)
    assert large.dtype == torch.uint8
    assert large.shape == (3, factor * size[0], factor * size[1])


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("upsampling", ["transposed", "nearest", "nearest_and_bilinear"])
def test_tiles_are_parts_of_the_whole(
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
    assert difference.max() <= 1  # Other kernels round otherwise.
    assert (difference > 0).float().mean() < 1e-3


def test_a_checkpoint_comes_back_with_its_statistics(tmp_path: Path) -> None:
    made = checkpoint()
    made.tensors["first.norm.num_batches_tracked"].fill_(100_001)
    made.tensors["first.norm.running_mean"].fill_(0.25)
    save_checkpoint(made, tmp_path / "x4.safetensors")
    read = parse_checkpoint((tmp_path / "x4.safetensors").read_bytes())
    state = read.build().state_dict()
    assert state["first.norm.num_batches_tracked"] == 100_001
    assert (state["first.norm.running_mean"] == 0.25).all()


def test_a_style_network_does_not_enlarge(checkpoint_path: Path) -> None:
    with pytest.raises(CheckpointError, match="of the network johnson, not super_resolution"):
        SuperResolutionEngine(parse_checkpoint(checkpoint_path.read_bytes()), CPU)


def test_images_are_reduced_to_their_means() -> None:
    steps = torch.tensor([10.0, 200.0]).repeat_interleave(40).expand(1, 3, 12, 80) / 255
    small = reduced(steps, 4)
    assert small.shape == (1, 3, 3, 20)
    torch.testing.assert_close(small[..., :8] * 255, torch.full((1, 3, 3, 8), 10.0))
    torch.testing.assert_close(small[..., -8:] * 255, torch.full((1, 3, 3, 8), 200.0))
    assert reduced(torch.rand(1, 3, 15, 9), 4).shape == (1, 3, 3, 2)


@pytest.fixture
def recipe(
    tmp_path: Path, gradient: Callable[[int, int], Image.Image]
) -> SuperResolutionTrainingConfig:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        gradient(60 + number, 50).save(tmp_path / "photos" / f"{number}.png")
    return SuperResolutionTrainingConfig(
        content_images=tmp_path / "photos",
        output=tmp_path / "x2.safetensors",
        factor=2,
        crop_size=32,
        batch_size=4,
        iterations=4,
        device="cpu",
    )


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"distance": "charbonnier"},
        {"distance": "msce"},
        {"pixel_weight": 0.0, "feature_weights": {"relu2_1": 1.0}},
    ],
)
def test_the_loss_falls_and_a_checkpoint_is_written(
    recipe: SuperResolutionTrainingConfig,
    change: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "_ITERATIONS_PER_REPORT", 1)
    lines: list[str] = []
    longer = recipe.model_copy(update={**change, "iterations": 30})
    train_super_resolution(longer, lines.append)
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
    assert sum(losses[-8:]) < sum(losses[:8])
    read = parse_checkpoint(recipe.output.read_bytes())
    assert read.training["content_images"] == "3 photographs"
    assert read.training["iterations"] == 30
    assert "/" not in str(read.training)
    assert SuperResolutionEngine(read, CPU).scale == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"content_images": Path("nowhere")}, "no images in nowhere"),
        ({"feature_weights": {"relu9_9": 1.0}}, "feature_weights: .* no layer relu9_9"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused(
    recipe: SuperResolutionTrainingConfig, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigValueError, match=message):
        train_super_resolution(recipe.model_copy(update=change), print)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_weight": 0.0}, "must be above 0"),
        ({"crop_size": 33}, "crop_size must be a multiple of 2"),
        ({"factor": 3}, "2, 4 or 8"),
        ({"upsampling": "bicubic"}, "'transposed', 'nearest' or"),
    ],
)
def test_what_a_recipe_says_must_make_sense(
    recipe: SuperResolutionTrainingConfig, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        SuperResolutionTrainingConfig(**{**recipe.model_dump(), **change})
