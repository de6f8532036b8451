"""The optimization engine: sizes, colors, levels, progress and memory."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor, resize

from stylebeam.transforms.engine import Canceled, Control
from stylebeam.transforms.gatys.descent import Evaluation
from stylebeam.transforms.gatys.engine import OptimizationEngine
from stylebeam.transforms.gatys.settings import PRESETS, OptimizationSettings
from stylebeam.transforms.hardware.precision import NonFiniteError
from stylebeam.transforms.images.color import luminance
from stylebeam.transforms.losses.distilled_vgg import linear, load_distilled_vgg
from stylebeam.transforms.losses.vgg import load_vgg
from stylebeam.transforms.losses.vgg_normalization import (
    normalize_activations,
    reference_photos,
)
from tests.helpers.image_files import psnr

CPU = torch.device("cpu")
Gradient = Callable[[int, int], Image.Image]


@pytest.fixture(scope="module")
def painting() -> Tensor:
    """Stripes of warm colors, RGB, uint8."""
    rows, columns = torch.meshgrid(torch.arange(80), torch.arange(96), indexing="ij")
    waves = torch.sin(rows / 3 + torch.sin(columns / 5))
    image = torch.stack([200 + 50 * waves, 120 + 90 * waves, 40 + 30 * waves])
    return image.clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def photo(gradient: Gradient) -> Tensor:
    """A smooth gradient, RGB, uint8."""
    return pil_to_tensor(gradient(88, 72))


def make_engine(
    painting: Tensor, precision: torch.dtype | None = None, **options: object
) -> OptimizationEngine:
    settings = OptimizationSettings(**{"iterations": 12, "levels": 1, **options})
    return OptimizationEngine(settings, [(painting, 1.0)], CPU, precision)


def stylize(painting: Tensor, photo: Tensor, **options: object) -> Tensor:
    return make_engine(painting, **options).transform(photo)


def evaluations(engine: OptimizationEngine, photo: Tensor) -> list[Evaluation]:
    found: list[Evaluation] = []
    engine.transform(photo, on_evaluation=found.append)
    return found


def losses(engine: OptimizationEngine, photo: Tensor) -> list[float]:
    return [evaluation.terms.total.item() for evaluation in evaluations(engine, photo)]


def difference(one: Tensor, other: Tensor) -> int:
    return (one.int() - other.int()).abs().max().item()


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_loss_falls(painting: Tensor, photo: Tensor, optimizer: str) -> None:
    found = losses(make_engine(painting, optimizer=optimizer, iterations=40), photo)
    assert len(found) == 40
    assert found[-1] < found[0] / 5


@pytest.mark.slow
def test_the_tolerance_saves_evaluations(painting: Tensor, photo: Tensor) -> None:
    counts = []
    for tolerance in (0.0, 0.1, 0.4):
        found = losses(make_engine(painting, iterations=80, tolerance=tolerance), photo)
        counts.append(len(found))
        if tolerance and len(found) < 80:
            assert min(found[:-10]) - min(found) <= tolerance * min(found[:-10])
    assert counts[0] == 80 > counts[1] > counts[2] > 10


def test_a_photo_that_is_its_own_painting_stays_as_it_is(painting: Tensor) -> None:
    engine = make_engine(painting, torch.float32, iterations=50, tolerance=1e-3)
    found: list[Evaluation] = []
    assert difference(engine.transform(painting, on_evaluation=found.append), painting) <= 1
    assert len(found) == 11


def test_progress_is_the_part_of_all_evaluations(painting: Tensor, photo: Tensor) -> None:
    large = resize(photo, [256, 320])
    reported: list[float] = []
    make_engine(painting, iterations=4, levels=2).transform(large, Control(reported.append))
    assert reported == pytest.approx([0.0, *(n / 6 for n in range(1, 7)), 1.0])


def test_progress_jumps_where_a_level_stops_early(painting: Tensor) -> None:
    # The photo is its own painting, so that nothing can be improved: 11 evaluations suffice.
    reported: list[float] = []
    engine = make_engine(painting, torch.float32, iterations=40, levels=1, tolerance=1e-3)
    engine.transform(painting, Control(reported.append))
    assert reported == pytest.approx([0.0, *(n / 40 for n in range(1, 12)), 1.0])


@pytest.mark.parametrize("after", [0, 3])
def test_the_work_can_be_canceled(painting: Tensor, photo: Tensor, after: int) -> None:
    cancel = threading.Event()
    found: list[Evaluation] = []

    def on_evaluation(evaluation: Evaluation) -> None:
        found.append(evaluation)
        if evaluation.number == after:
            cancel.set()

    if not after:
        cancel.set()
    with pytest.raises(Canceled):
        make_engine(painting).transform(photo, Control(cancel=cancel), on_evaluation)
    assert len(found) == after


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (17, 31), (33, 200)])
def test_a_picture_has_the_size_of_its_photo(painting: Tensor, size: tuple[int, int]) -> None:
    photo = torch.full((3, *size), 90, dtype=torch.uint8)
    for init in ("content", "noise"):
        picture = stylize(painting, photo, iterations=2, levels=3, init=init)
        assert picture.shape == photo.shape
        assert picture.dtype == torch.uint8


def test_a_larger_photo_is_reduced_first_and_enlarged_afterward(
    painting: Tensor, gradient: Gradient
) -> None:
    photo = pil_to_tensor(gradient(200, 130))
    photo[:, ::13] //= 2
    engine = make_engine(painting, iterations=3, size=65)
    assert {evaluation.size for evaluation in evaluations(engine, photo)} == {(65, 100)}
    # After one evaluation the image is still the photo, including its fine lines.
    unchanged = stylize(painting, photo, iterations=1, size=65)
    assert unchanged.shape == photo.shape
    assert psnr(unchanged, photo) > psnr(resize(resize(photo, [65, 100]), [130, 200]), photo) + 3


def test_levels_go_from_coarse_to_fine(painting: Tensor, gradient: Gradient) -> None:
    engine = make_engine(painting, iterations=3, levels=5)
    found = evaluations(engine, pil_to_tensor(gradient(600, 514)))
    # Half as many evaluations at each coarser level, and at least one.
    expected = [(128, 150), (257, 300), *[(514, 600)] * 3]
    assert [evaluation.size for evaluation in found] == expected


def test_a_coarse_level_keeps_the_detail_of_the_photo(painting: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    photo = torch.randint(60, 190, (3, 260, 270), generator=generator, dtype=torch.uint8)
    # One evaluation per level changes nothing: only resizing could make a difference.
    assert difference(stylize(painting, photo, iterations=1, levels=2), photo) <= 1


def test_init_chooses_the_initial_image(painting: Tensor, photo: Tensor) -> None:
    settings = OptimizationSettings(init="fast", iterations=1, levels=1)
    engine = OptimizationEngine(settings, [(painting, 1.0)], CPU, fast=lambda pixels: 255 - pixels)
    assert torch.equal(engine.transform(photo), 255 - photo)
    assert torch.equal(stylize(painting, photo, iterations=1), photo)
    noise = stylize(painting, photo, iterations=1, init="noise").float()
    assert noise.mean().item() == pytest.approx(127.5, abs=3)
    assert 2 < noise.std() < 3
    with pytest.raises(ValueError, match="needs a fast network"):
        OptimizationEngine(settings, [(painting, 1.0)], CPU)


def test_noise_depends_on_the_photo_alone(painting: Tensor, photo: Tensor) -> None:
    engine = make_engine(painting, iterations=1, init="noise")
    first, again, other = map(engine.transform, (photo, photo, photo.flip(2)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.slow
def test_colors_can_be_the_photos(painting: Tensor, photo: Tensor) -> None:
    def chroma(image: Tensor) -> Tensor:
        values = image.unsqueeze(0).float() / 255
        return values - luminance(values)

    pictures = {
        colors: stylize(painting, photo, colors=colors, iterations=40, style_weight=1e5)
        for colors in ("painting", "luminance", "histogram")
    }
    away = {colors: (chroma(picture) - chroma(photo)).abs() for colors, picture in pictures.items()}
    # Colors that are too bright for a new luminance lose some saturation.
    assert away["luminance"].median() < 0.01 < away["painting"].median()
    mean = {
        colors: (picture.float().mean((1, 2)) - photo.float().mean((1, 2))).abs().max()
        for colors, picture in pictures.items()
    }
    assert mean["histogram"] < 0.3 * mean["painting"]
    assert all(difference(picture, photo) > 20 for picture in pictures.values())


@pytest.mark.slow
def test_style_scale_changes_the_size_of_strokes(painting: Tensor, photo: Tensor) -> None:
    options = {"style_weight": 1e6, "iterations": 60}
    rough, smooth = (
        stylize(painting, photo, style_scale=scale, **options).float().diff(dim=1).abs().mean()
        for scale in (0.5, 2.0)
    )
    assert rough > 1.2 * smooth


def test_the_finish_uses_vgg19(painting: Tensor, photo: Tensor, vgg19: Path) -> None:
    settings = OptimizationSettings(iterations=5, levels=2, finish="vgg19", finish_iterations=7)
    engine = OptimizationEngine(settings, [(painting, 1.0)], CPU, weights={"vgg19": vgg19})
    found = losses(engine, photo)
    assert len(found) == 5 + 7  # Such a small photo has one level only.
    # VGG-19 has random weights here, and another loss than the distilled VGG.
    assert found[5] != pytest.approx(found[4], rel=0.05)
    assert found[-1] < found[5]


@pytest.mark.slow
def test_losses_do_not_depend_on_the_scale_of_vggs_weights(
    painting: Tensor, photo: Tensor, vgg19: Path, tmp_path: Path
) -> None:
    state = torch.load(vgg19, weights_only=True)
    factor = 1.0
    for index in sorted({int(key.split(".")[1]) for key in state}):
        # Each layer multiplies the scale of the activations by three.
        factor *= 3
        state[f"features.{index}.weight"] *= 3
        state[f"features.{index}.bias"] *= factor
    torch.save(state, tmp_path / "large.pth")
    settings = OptimizationSettings(**{**PRESETS["gatys2016"], "iterations": 2, "init": "content"})
    normal, large = (
        losses(
            OptimizationEngine(
                settings, [(painting, 1.0)], CPU, torch.float32, weights={"vgg19": file}
            ),
            photo,
        )
        for file in (vgg19, tmp_path / "large.pth")
    )
    assert normal == pytest.approx(large, rel=1e-3)


def test_a_loss_that_is_nan_is_an_error(
    painting: Tensor, photo: Tensor, vgg19: Path, tmp_path: Path
) -> None:
    state = torch.load(vgg19, weights_only=True)
    state["features.28.bias"][0] = torch.nan
    torch.save(state, tmp_path / "nan.pth")
    settings = OptimizationSettings(**{**PRESETS["gatys2016"], "iterations": 2})
    engine = OptimizationEngine(
        settings, [(painting, 1.0)], CPU, weights={"vgg19": tmp_path / "nan.pth"}
    )
    with pytest.raises(NonFiniteError, match="not finite"):
        engine.transform(photo)


@pytest.mark.slow
def test_the_distilled_vgg_and_vgg19_have_the_same_scale(shared: Path) -> None:
    layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2"]
    weights = shared / "torch" / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    vgg, photos = load_vgg("vgg19", layers, weights), reference_photos()
    normalize_activations(vgg, photos)
    distilled = load_distilled_vgg(layers)
    of_vgg, of_distilled = vgg(photos), distilled(photos)
    for layer in layers:
        readout = distilled.readout(layer)
        features = of_distilled[layer]
        if readout is not None:
            features = linear(features, readout)
        scale = features.square().mean().sqrt() / of_vgg[layer].square().mean().sqrt()
        assert scale.item() == pytest.approx(1.0, abs=0.1)


def test_no_line_runs_along_the_border() -> None:
    """From one color towards another; with zero padding, columns would jump by 20 and more."""
    photo = torch.full((3, 96, 128), 128, dtype=torch.uint8)
    painting = torch.tensor([200, 120, 40], dtype=torch.uint8)[:, None, None].expand(3, 96, 128)
    picture = stylize(painting, photo, precision=torch.float32, iterations=20)
    columns = picture[:, 32:-32].float().mean(1)
    assert columns.diff(dim=1).abs().max() < 16
    assert columns[0].mean() > 160
    assert columns[2].mean() < 96


def test_the_picture_has_the_loss_that_was_reached(painting: Tensor, gradient: Gradient) -> None:
    """Optimizing pixels that are cut off afterward would lose a part of the style."""
    photo = pil_to_tensor(gradient(150, 130))
    found: list[Evaluation] = []
    engine = make_engine(painting, torch.float32, iterations=30, levels=1)
    picture = engine.transform(photo, on_evaluation=found.append)
    lowest = min(evaluation.terms.total.item() for evaluation in found)
    assert engine.loss_terms(picture, photo).total.item() == pytest.approx(lowest, rel=0.02)


def peak_memory() -> int:
    """Return the peak of this process's memory in bytes, without that of its parent."""
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(kilobytes)


def memory_taken(settings: OptimizationSettings, precision: torch.dtype) -> tuple[int, int]:
    """Return the bytes that an optimization adds to this process's peak, and the estimate."""
    painting = torch.arange(3 * 512 * 512).reshape(3, 512, 512).to(torch.uint8)
    engine = OptimizationEngine(settings, [(painting, 1.0)], CPU, precision)
    engine.transform(painting[:, :32, :32])
    before = peak_memory()
    engine.transform(painting)
    return peak_memory() - before, engine.memory_needed(512, 512)


@pytest.mark.slow
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_an_optimization_takes_the_estimated_memory(precision: torch.dtype) -> None:
    # So few evaluations fill the history of L-BFGS.
    settings = OptimizationSettings(iterations=6, history_size=5, levels=1)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        taken, estimated = process.submit(memory_taken, settings, precision).result(300)
    assert estimated / 2 < taken < 1.2 * estimated


@pytest.mark.parametrize(
    ("size", "pixels"), [(None, 300 * 200), (100, 150 * 100), (400, 300 * 200)]
)
def test_the_estimated_memory_is_for_the_working_size(
    painting: Tensor, size: int | None, pixels: int
) -> None:
    of_one_pixel = make_engine(painting).memory_needed(1, 1)
    assert make_engine(painting, size=size).memory_needed(300, 200) == pixels * of_one_pixel
