"""Optimisation of photographs: what comes out, of which size and colours, alone and in a batch."""

import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from image_files import psnr
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor, resize

from stylebeam.transforms.gatys.descent import Progress
from stylebeam.transforms.gatys.recipe import PRESETS, GatysRecipe
from stylebeam.transforms.gatys.stylizer import GatysStylizer
from stylebeam.transforms.hardware.precision import NonFiniteError
from stylebeam.transforms.images.color import luminance
from stylebeam.transforms.losses.distilled_vgg import linear, load_embedded_network
from stylebeam.transforms.losses.perceptual import LossTerms
from stylebeam.transforms.losses.vgg import load_vgg
from stylebeam.transforms.losses.vgg_normalization import (
    normalize_activations,
    reference_photographs,
)

CPU = torch.device("cpu")
Gradient = Callable[[int, int], Image.Image]


@pytest.fixture(scope="module")
def painting() -> Tensor:
    """Stripes of warm colours, RGB, uint8."""
    rows, columns = torch.meshgrid(torch.arange(80), torch.arange(96), indexing="ij")
    waves = torch.sin(rows / 3 + torch.sin(columns / 5))
    image = torch.stack([200 + 50 * waves, 120 + 90 * waves, 40 + 30 * waves])
    return image.clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def photos(gradient: Gradient) -> list[Tensor]:
    """Three photographs of one size, RGB, uint8."""
    image = pil_to_tensor(gradient(88, 72))
    return [image, image.flip(2), 255 - image]


def stylizer(
    painting: Tensor, precision: torch.dtype | None = None, **options: object
) -> GatysStylizer:
    values = {"iterations": 12, "levels": 1, **options}
    return GatysStylizer(GatysRecipe(**values), [(painting, 1.0)], CPU, precision)


def difference(one: Tensor, other: Tensor) -> int:
    return (one.int() - other.int()).abs().max().item()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_photo_comes_out_of_a_batch_as_it_would_alone(
    painting: Tensor, gradient: Gradient, optimizer: str, precision: torch.dtype
) -> None:
    # The painting itself is at its end before the others, and makes the batch smaller.
    photos = [pil_to_tensor(gradient(96, 80)), painting, 255 - pil_to_tensor(gradient(96, 80))]
    optimise = stylizer(painting, precision, optimizer=optimizer, iterations=40, tolerance=0.05)
    evaluated: list[int] = []
    together = optimise.stylize(photos, lambda progress: evaluated.append(len(progress.terms)))
    assert evaluated[0] == 3
    assert len(set(evaluated)) > 1
    for photo, result in zip(photos, together, strict=True):
        [alone] = optimise.stylize([photo])
        assert difference(result, alone) <= 1
    assert difference(together[0], photos[0]) > 30


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_loss_falls(painting: Tensor, photos: list[Tensor], optimizer: str) -> None:
    losses: list[float] = []
    stylizer(painting, optimizer=optimizer, iterations=40).stylize(
        photos[:1], lambda progress: losses.append(progress.terms[0].total.item())
    )
    assert len(losses) == 40
    assert losses[-1] < losses[0] / 5


def test_an_early_stop_saves_evaluations_once_the_loss_is_level(
    painting: Tensor, photos: list[Tensor]
) -> None:
    counts = []
    for tolerance in (0.0, 0.1, 0.4):
        losses: list[float] = []
        stylizer(painting, iterations=80, tolerance=tolerance).stylize(
            photos[:1], lambda progress, to=losses: to.append(progress.terms[0].total.item())
        )
        counts.append(len(losses))
        if tolerance and len(losses) < 80:
            assert min(losses[:-10]) - min(losses) <= tolerance * min(losses[:-10])
    assert counts[0] == 80 > counts[1] > counts[2] > 10


def test_a_photo_that_is_its_own_painting_stays_as_it_is(painting: Tensor) -> None:
    evaluations: list[Progress] = []
    optimise = stylizer(painting, torch.float32, iterations=50, tolerance=1e-3)
    [result] = optimise.stylize([painting], evaluations.append)
    assert difference(result, painting) <= 1
    assert len(evaluations) == 11


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (17, 31), (33, 200)])
def test_every_size_comes_out_as_it_went_in(painting: Tensor, size: tuple[int, int]) -> None:
    photo = torch.full((3, *size), 90, dtype=torch.uint8)
    for init in ("content", "noise"):
        [result] = stylizer(painting, iterations=2, levels=3, init=init).stylize([photo])
        assert result.shape == photo.shape
        assert result.dtype == torch.uint8


def test_a_larger_photo_is_optimised_at_the_recipes_size_and_enlarged(
    painting: Tensor, gradient: Gradient
) -> None:
    photo = pil_to_tensor(gradient(200, 130))
    photo[:, ::13] //= 2
    sizes: list[tuple[int, int]] = []
    [result] = stylizer(painting, iterations=3, size=65).stylize(
        [photo], lambda progress: sizes.append(progress.size)
    )
    assert set(sizes) == {(65, 100)}
    assert result.shape == photo.shape
    # With one evaluation the image is still the photo, its fine lines included.
    [unchanged] = stylizer(painting, iterations=1, size=65).stylize([photo])
    assert psnr(unchanged, photo) > psnr(resize(resize(photo, [65, 100]), [130, 200]), photo) + 3


def test_levels_go_from_coarse_to_fine(painting: Tensor, gradient: Gradient) -> None:
    sizes: list[tuple[int, int]] = []
    stylizer(painting, iterations=3, levels=5).stylize(
        [pil_to_tensor(gradient(600, 514))],
        lambda progress: sizes.append(progress.size),
    )
    # Half as many evaluations at each coarser level, and at least one.
    assert sizes == [(128, 150), (257, 300), *[(514, 600)] * 3]


def test_a_coarse_level_keeps_the_detail_of_the_photo(painting: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    photo = torch.randint(60, 190, (3, 260, 270), generator=generator, dtype=torch.uint8)
    # One evaluation a level changes nothing: only what resizing loses could differ.
    [result] = stylizer(painting, iterations=1, levels=2).stylize([photo])
    assert difference(result, photo) <= 1


def test_an_optimisation_begins_where_it_is_told_to(painting: Tensor, photos: list[Tensor]) -> None:
    def fast(pixels: Tensor) -> Tensor:
        return 255 - pixels

    recipe = GatysRecipe(init="fast", iterations=1, levels=1)
    [begun] = GatysStylizer(recipe, [(painting, 1.0)], CPU, fast=fast).stylize(photos[:1])
    assert torch.equal(begun, 255 - photos[0])
    [begun] = stylizer(painting, iterations=1).stylize(photos[:1])
    assert torch.equal(begun, photos[0])
    noise = [stylizer(painting, iterations=1, init="noise").stylize([photo])[0] for photo in photos]
    assert all(abs(each.float().mean() - 127.5) < 3 for each in noise)
    assert all(2 < each.float().std() < 3 for each in noise)
    with pytest.raises(ValueError, match="needs a fast network"):
        GatysStylizer(recipe, [(painting, 1.0)], CPU)


def test_noise_is_the_same_for_the_same_photo_alone(painting: Tensor, photos: list[Tensor]) -> None:
    optimise = stylizer(painting, iterations=1, init="noise")
    [first], [again], [other] = (
        optimise.stylize([photo]) for photo in (*photos[:1] * 2, photos[1])
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_photos_colours_are_kept_if_asked_for(painting: Tensor, photos: list[Tensor]) -> None:
    photo = photos[0]

    def chroma(image: Tensor) -> Tensor:
        values = image.unsqueeze(0).float() / 255
        return values - luminance(values)

    results = {
        colors: stylizer(painting, colors=colors, iterations=40, style_weight=1e5).stylize([photo])[
            0
        ]
        for colors in ("painting", "luminance", "histogram")
    }
    away = {colors: (chroma(result) - chroma(photo)).abs() for colors, result in results.items()}
    # Colours that are too bright for a new luminance lose some saturation.
    assert away["luminance"].median() < 0.01 < away["painting"].median()
    mean = {
        colors: (result.float().mean((1, 2)) - photo.float().mean((1, 2))).abs().max()
        for colors, result in results.items()
    }
    assert mean["histogram"] < 0.3 * mean["painting"]
    assert all(difference(result, photo) > 20 for result in results.values())


def test_strokes_are_of_the_paintings_scale(painting: Tensor, photos: list[Tensor]) -> None:
    results = [
        stylizer(painting, style_scale=scale, style_weight=1e6, iterations=60).stylize(photos[:1])[
            0
        ]
        for scale in (0.5, 2.0)
    ]
    rough, smooth = (result.float().diff(dim=1).abs().mean() for result in results)
    assert rough > 1.2 * smooth


def test_the_finish_is_judged_by_vgg19(painting: Tensor, photos: list[Tensor], vgg19: Path) -> None:
    recipe = GatysRecipe(iterations=5, levels=2, finish="vgg19", finish_iterations=7)
    optimise = GatysStylizer(recipe, [(painting, 1.0)], CPU, weights={"vgg19": vgg19})
    losses: list[float] = []
    optimise.stylize(photos[:1], lambda progress: losses.append(progress.terms[0].total.item()))
    assert len(losses) == 5 + 7  # A photo so small has but one level.
    # Random weights judge otherwise than the embedded network.
    assert losses[5] != pytest.approx(losses[4], rel=0.05)
    assert losses[-1] < losses[5]


def test_the_embedded_network_leaves_some_of_the_style_to_the_finish(
    painting: Tensor, photos: list[Tensor], vgg19: Path
) -> None:
    def first_terms(**options: str) -> LossTerms:
        recipe = GatysRecipe(init="noise", iterations=1, finish_iterations=1, **options)
        optimise = GatysStylizer(recipe, [(painting, 1.0)], CPU, weights={"vgg19": vgg19})
        terms: list[LossTerms] = []
        optimise.stylize(photos[:1], lambda progress: terms.append(progress.terms[0]))
        return terms[0]

    alone, before_finish = first_terms(), first_terms(finish="vgg19")
    assert before_finish.content == alone.content
    assert before_finish.style < 0.71 * alone.style


def test_losses_do_not_depend_on_the_scale_of_vggs_weights(
    painting: Tensor, photos: list[Tensor], vgg19: Path, tmp_path: Path
) -> None:
    state = torch.load(vgg19, weights_only=True)
    factor = 1.0
    for place in sorted({int(key.split(".")[1]) for key in state}):
        # Every activation is three times that of the layer before; biases grow along.
        factor *= 3
        state[f"features.{place}.weight"] *= 3
        state[f"features.{place}.bias"] *= factor
    torch.save(state, tmp_path / "large.pth")
    recipe = GatysRecipe(**{**PRESETS["gatys2016"], "iterations": 2, "init": "content"})
    losses: list[list[float]] = []
    for file in (vgg19, tmp_path / "large.pth"):
        losses.append([])
        optimise = GatysStylizer(
            recipe, [(painting, 1.0)], CPU, torch.float32, weights={"vgg19": file}
        )
        optimise.stylize(
            photos[:1], lambda progress: losses[-1].append(progress.terms[0].total.item())
        )
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_a_loss_that_is_no_number_is_an_error(
    painting: Tensor, photos: list[Tensor], vgg19: Path, tmp_path: Path
) -> None:
    state = torch.load(vgg19, weights_only=True)
    state["features.28.bias"][0] = torch.nan
    torch.save(state, tmp_path / "nan.pth")
    recipe = GatysRecipe(**{**PRESETS["gatys2016"], "iterations": 2})
    optimise = GatysStylizer(
        recipe, [(painting, 1.0)], CPU, weights={"vgg19": tmp_path / "nan.pth"}
    )
    with pytest.raises(NonFiniteError, match="not finite"):
        optimise.stylize(photos)


def test_the_embedded_network_and_vgg19_are_of_one_scale(shared: Path) -> None:
    layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2"]
    weights = shared / "torch" / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    vgg, photographs = load_vgg("vgg19", layers, weights), reference_photographs()
    normalize_activations(vgg, photographs)
    embedded = load_embedded_network(layers)
    of_vgg, of_embedded = vgg(photographs), embedded(photographs)
    for layer in layers:
        readout = embedded.readout(layer)
        features = of_embedded[layer]
        if readout is not None:
            features = linear(features, readout)
        scale = features.square().mean().sqrt() / of_vgg[layer].square().mean().sqrt()
        assert scale.item() == pytest.approx(1.0, abs=0.1)


def test_no_line_runs_along_the_border() -> None:
    """From one colour towards another; padded with zeros, columns would jump by 20 and more."""
    photo = torch.full((3, 96, 128), 128, dtype=torch.uint8)
    painting = torch.tensor([200, 120, 40], dtype=torch.uint8)[:, None, None].expand(3, 96, 128)
    [result] = stylizer(painting, torch.float32, iterations=20).stylize([photo])
    columns = result[:, 32:-32].float().mean(1)
    assert columns.diff(dim=1).abs().max() < 16
    assert columns[0].mean() > 160
    assert columns[2].mean() < 96


def test_the_loss_of_the_result_is_what_was_minimised(painting: Tensor, gradient: Gradient) -> None:
    """Pixels that were optimised and then cut off would have taken a part of the style along."""
    photo = pil_to_tensor(gradient(150, 130))
    losses: list[float] = []
    optimizer = stylizer(painting, torch.float32, iterations=30, levels=1)
    [result] = optimizer.stylize(
        [photo], lambda progress: losses.append(progress.terms[0].total.item())
    )
    assert optimizer.judge(result, photo).total.item() == pytest.approx(min(losses), rel=0.02)


def peak_memory() -> int:
    """Return the most bytes that this process has had in memory; not those of its parent."""
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(kilobytes)


def memory_taken(recipe: GatysRecipe, precision: torch.dtype) -> tuple[int, int]:
    """Return the bytes that an optimisation adds to this process's peak, and what it says."""
    painting = torch.arange(3 * 512 * 512).reshape(3, 512, 512).to(torch.uint8)
    optimise = GatysStylizer(recipe, [(painting, 1.0)], CPU, precision)
    optimise.stylize([painting[:, :32, :32]])
    before = peak_memory()
    optimise.stylize([painting])
    return peak_memory() - before, optimise.memory_for([painting])


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_an_optimisation_takes_the_memory_that_it_says(precision: torch.dtype) -> None:
    # L-BFGS has filled its memory when it ends.
    recipe = GatysRecipe(iterations=6, memory=5, levels=1)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        taken, said = process.submit(memory_taken, recipe, precision).result(300)
    assert said / 2 < taken < 1.2 * said


@pytest.mark.parametrize(
    ("size", "count", "pixels"),
    [(None, 1, 300 * 200), (100, 1, 150 * 100), (400, 2, 2 * 300 * 200)],
)
def test_memory_is_that_of_the_size_at_which_photos_are_optimised(
    painting: Tensor, size: int | None, count: int, pixels: int
) -> None:
    of_one_pixel = stylizer(painting, size=None).memory_for([torch.zeros(3, 1, 1)])
    photos = [torch.zeros(3, 200, 300)] * count
    assert stylizer(painting, size=size).memory_for(photos) == pixels * of_one_pixel
