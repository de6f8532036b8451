"""Feed-forward stylisation: any size, strength, precision."""

from pathlib import Path

import pytest
import torch

from transforms.checkpoints import parse_checkpoint
from transforms.feed_forward import FeedForwardStylizer
from transforms.precision import NonFiniteError

CPU = torch.device("cpu")


def noise(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height * 10_000 + width)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


@pytest.fixture
def stylizer(checkpoint_path: Path) -> FeedForwardStylizer:
    return FeedForwardStylizer(parse_checkpoint(checkpoint_path.read_bytes()), CPU)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 5000), (17, 33), (64, 48), (53, 101)])
def test_every_size_comes_back_at_its_own(stylizer: FeedForwardStylizer, size) -> None:
    stylized = stylizer.stylize(noise(*size))
    assert stylized.shape == (3, *size)
    assert stylized.dtype == torch.uint8


def test_strength_mixes_the_photo_and_the_stylised_image(stylizer: FeedForwardStylizer) -> None:
    photo = noise(40, 40)
    full, half = stylizer.stylize(photo), stylizer.stylize(photo, 0.5)
    assert torch.equal(stylizer.stylize(photo, 0.0), photo)
    assert not torch.equal(full, photo)
    middle = (photo.float() + full.float()) / 2
    assert (half.float() - middle).abs().max() <= 1


def test_the_fast_precision_is_close_to_float32(checkpoint_path: Path) -> None:
    checkpoint = parse_checkpoint(checkpoint_path.read_bytes())
    photo = noise(96, 128)
    fast = FeedForwardStylizer(checkpoint, CPU, torch.bfloat16).stylize(photo)
    exact = FeedForwardStylizer(checkpoint, CPU, torch.float32).stylize(photo)
    assert (fast.float() - exact.float()).abs().mean() < 2


def test_a_result_does_not_depend_on_what_came_before(stylizer: FeedForwardStylizer) -> None:
    first = stylizer.stylize(noise(40, 56))
    stylizer.stylize(noise(33, 64))
    assert torch.equal(stylizer.stylize(noise(40, 56)), first)


def test_an_overflow_is_done_again_in_float32(
    stylizer: FeedForwardStylizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that overflows whenever autocast is on, as float16 does."""
    stylizer.precision = torch.bfloat16
    forward = stylizer._network.forward

    def overflowing(images: torch.Tensor) -> torch.Tensor:
        values = forward(images)
        return values / 0 if torch.is_autocast_enabled("cpu") else values

    monkeypatch.setattr(stylizer._network, "forward", overflowing)
    photo = noise(32, 32)
    again = stylizer.stylize(photo)
    stylizer.precision = torch.float32
    assert torch.equal(again, stylizer.stylize(photo))


def test_values_that_stay_infinite_are_an_error(
    stylizer: FeedForwardStylizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stylizer._network, "forward", lambda images: images / 0)
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        stylizer.stylize(noise(32, 32))


@pytest.fixture
def two_styles(two_styles_path: Path) -> FeedForwardStylizer:
    checkpoint = parse_checkpoint(two_styles_path.read_bytes())
    return FeedForwardStylizer(checkpoint, CPU, torch.float32)


def test_a_blend_of_one_and_none_is_the_one(two_styles: FeedForwardStylizer) -> None:
    photo = noise(40, 56)
    one, two = (two_styles.stylize(photo, 1.0, {name: 1.0}) for name in ("one", "two"))
    assert (one.float() - two.float()).abs().mean() > 1
    assert torch.equal(two_styles.stylize(photo, 1.0, {"one": 1.0, "two": 0.0}), one)
    assert torch.equal(two_styles.stylize(photo, 1.0, {"two": 3.0, "one": 0.0}), two)


def test_a_blend_goes_from_one_to_the_other(two_styles: FeedForwardStylizer) -> None:
    photo = noise(40, 56)
    results = [
        two_styles.stylize(photo, 1.0, {"one": 1 - part, "two": part}).float()
        for part in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    away = [(result - results[0]).abs().mean().item() for result in results]
    assert away == sorted(away)
    left = [(result - results[-1]).abs().mean().item() for result in results]
    assert left == sorted(left, reverse=True)


def test_an_unknown_style_is_an_error(two_styles: FeedForwardStylizer) -> None:
    with pytest.raises(KeyError, match="three"):
        two_styles.stylize(noise(20, 20), 1.0, {"three": 1.0})
