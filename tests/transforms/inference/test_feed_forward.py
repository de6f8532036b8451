"""Tests of feed-forward stylization: sizes, strengths, precisions and blends."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from stylebeam.transforms.backends import Backend
from stylebeam.transforms.backends.computation import Computation, Workload
from stylebeam.transforms.backends.openvino import OpenVinoBackend
from stylebeam.transforms.backends.pytorch import TorchBackend
from stylebeam.transforms.checkpoints import parse_checkpoint
from stylebeam.transforms.evaluation.metrics import psnr
from stylebeam.transforms.hardware.precision import NonFiniteError
from stylebeam.transforms.inference import feed_forward
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[3]
WEIGHTS = ROOT / "transforms" / "weights"
SAMPLE = ROOT / "samples" / "photos" / "mountain-lake.jpg"


def noise(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height * 10_000 + width)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


@pytest.fixture(params=["openvino", "torch"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Computes with one backend, also if another is faster."""

    def made(computation: Computation, device: torch.device, workload: Workload) -> Backend:
        if request.param == "openvino":
            return OpenVinoBackend(computation, workload.at_once)
        return TorchBackend(computation, device)

    monkeypatch.setattr(feed_forward, "backend_for", made)


@pytest.fixture
def stylizer(backend: None, checkpoint_path: Path) -> FeedForwardStylizer:
    return FeedForwardStylizer(parse_checkpoint(checkpoint_path.read_bytes()), CPU)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 5000), (17, 33), (64, 48), (53, 101)])
def test_the_result_has_the_size_of_the_image(stylizer: FeedForwardStylizer, size) -> None:
    stylized = stylizer.stylize(noise(*size))
    assert stylized.shape == (3, *size)
    assert stylized.dtype == torch.uint8


def test_strength_mixes_the_photo_and_the_stylized_image(stylizer: FeedForwardStylizer) -> None:
    photo = noise(40, 40)
    full, half = stylizer.stylize(photo), stylizer.stylize(photo, 0.5)
    assert torch.equal(stylizer.stylize(photo, 0.0), photo)
    assert not torch.equal(full, photo)
    middle = (photo.float() + full.float()) / 2
    assert (half.float() - middle).abs().max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["any_style", "johnson_udnie", "depsep_nn_bil_udnie"])
@pytest.mark.parametrize("size", [(160, 223), (257, 129)])
def test_backends_and_precisions_agree(
    name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = parse_checkpoint((WEIGHTS / f"{name}.safetensors").read_bytes())
    style = {next(iter(checkpoint.styles)): 1.0}
    with Image.open(SAMPLE) as image:
        photo = pil_to_tensor(image.convert("RGB").resize(size[::-1]))

    def stylized(backend: Callable[[Computation], Backend], precision: torch.dtype) -> torch.Tensor:
        monkeypatch.setattr(feed_forward, "backend_for", lambda made, *_: backend(made))
        made = FeedForwardStylizer(checkpoint, CPU, precision).stylize(photo, 1.0, style)
        return made[None] / 255

    exact = stylized(partial(TorchBackend, device=CPU), torch.float32)
    assert psnr(stylized(OpenVinoBackend, torch.float32), exact) > 65
    assert psnr(stylized(OpenVinoBackend, torch.bfloat16), exact) > 45
    assert psnr(stylized(partial(TorchBackend, device=CPU), torch.bfloat16), exact) > 45


@pytest.mark.slow
@pytest.mark.parametrize("name", ["johnson_udnie", "depsep_nn_udnie", "depsep_nn_bil_udnie"])
def test_a_constant_image_stays_constant(backend: None, name: str) -> None:
    """Instance normalization divides by a tiny deviation, and could amplify rounding errors."""
    checkpoint = parse_checkpoint((WEIGHTS / f"{name}.safetensors").read_bytes())
    for precision in (torch.bfloat16, torch.float32):
        stylizer = FeedForwardStylizer(checkpoint, CPU, precision)
        for level in (0, 100, 255):
            constant = torch.full((3, 96, 128), level, dtype=torch.uint8)
            inside = stylizer.stylize(constant)[:, 16:-16, 16:-16].flatten(1).int()
            assert (inside.amax(1) - inside.amin(1)).max() <= 1


def test_a_result_does_not_depend_on_what_came_before(stylizer: FeedForwardStylizer) -> None:
    first = stylizer.stylize(noise(40, 56))
    stylizer.stylize(noise(33, 64))
    assert torch.equal(stylizer.stylize(noise(40, 56)), first)


class OverflowingBackend(TorchBackend):
    """A backend whose values overflow in every precision but float32."""

    def __call__(
        self, pixels: torch.Tensor, settings: Sequence[torch.Tensor], precision: torch.dtype
    ) -> tuple[torch.Tensor, bool]:
        output, finite = super().__call__(pixels, settings, precision)
        return (output, finite) if precision == torch.float32 else (output * 0, False)


def test_an_overflow_is_repeated_in_float32(
    checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        feed_forward, "backend_for", lambda computation, *_: OverflowingBackend(computation, CPU)
    )
    checkpoint = parse_checkpoint(checkpoint_path.read_bytes())
    in_bfloat16, in_float32 = (
        FeedForwardStylizer(checkpoint, CPU, precision).stylize(noise(32, 32))
        for precision in (torch.bfloat16, torch.float32)
    )
    assert torch.equal(in_bfloat16, in_float32)


def test_values_that_are_infinite_in_float32_are_an_error(
    backend: None, checkpoint_path: Path
) -> None:
    checkpoint = parse_checkpoint(checkpoint_path.read_bytes())
    for weights in checkpoint.tensors.values():
        weights.fill_(torch.inf)
    stylizer = FeedForwardStylizer(checkpoint, CPU)
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        stylizer.stylize(noise(32, 32))


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums in a different order would differ visibly in bfloat16."""
    checkpoint = parse_checkpoint((WEIGHTS / "any_style.safetensors").read_bytes())
    photos = [noise(150, 170 + number) for number in range(6)]
    results = []
    for cores in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda cores=cores: cores)
        stylizer = FeedForwardStylizer(
            checkpoint, CPU, torch.bfloat16, workload=Workload(at_once=cores)
        )
        stylize = partial(stylizer.stylize, styles={"udnie": 1.0})
        with ThreadPoolExecutor(cores) as threads:
            results.append(torch.cat(list(threads.map(stylize, photos)), 2))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.fixture
def two_styles(backend: None, two_styles_path: Path) -> FeedForwardStylizer:
    checkpoint = parse_checkpoint(two_styles_path.read_bytes())
    return FeedForwardStylizer(checkpoint, CPU, torch.float32)


def test_a_blend_with_a_part_of_zero_is_the_other_style(two_styles: FeedForwardStylizer) -> None:
    photo = noise(40, 56)
    one, two = (two_styles.stylize(photo, 1.0, {name: 1.0}) for name in ("one", "two"))
    assert (one.float() - two.float()).abs().mean() > 1
    assert torch.equal(two_styles.stylize(photo, 1.0, {"one": 1.0, "two": 0.0}), one)
    assert torch.equal(two_styles.stylize(photo, 1.0, {"two": 3.0, "one": 0.0}), two)


@pytest.mark.slow
def test_a_blend_goes_from_one_style_to_the_other(two_styles: FeedForwardStylizer) -> None:
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
