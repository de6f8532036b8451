"""Distillation: it learns, resumes, and keeps what is held out apart."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from transforms import distillation, distillation_data, training_loop
from transforms.distillation import DistillationRecipe, distill
from transforms.distillation_data import DistillationCrops
from transforms.embedded_network import TEACHER_LAYERS, load_embedded_network
from transforms.training_loop import RecipeError
from transforms.vgg import Vgg


@pytest.fixture
def recipe(
    tmp_path: Path, gradient: Callable[[int, int], Image.Image], monkeypatch: pytest.MonkeyPatch
) -> DistillationRecipe:
    """A small distillation, of teachers with random weights."""

    def random_vgg(name: str, layers: tuple[str, ...], *_: object) -> Vgg:
        network = Vgg(name, layers)
        network.features.to_empty(device="cpu")
        generator = torch.Generator().manual_seed(0)
        for parameter in network.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 10_000
            torch.nn.init.normal_(parameter, std=(2 / fan_in) ** 0.5, generator=generator)
        return network.eval().requires_grad_(False)

    monkeypatch.setattr(distillation, "load_loss_network", random_vgg)
    monkeypatch.setattr(distillation, "_BATCHES_FOR_MAPS", 4)
    for folder in ("photos", "paintings"):
        (tmp_path / folder).mkdir()
        for number in range(4):
            image = gradient(80 + number, 64).rotate(90 * number)
            image.save(tmp_path / folder / f"{number}.png")
    return DistillationRecipe(
        content_images=tmp_path / "photos",
        style_images=tmp_path / "paintings",
        held_out=("3.png",),
        output=tmp_path / "embedded.safetensors",
        crop_size=32,
        batch_size=2,
        iterations=6,
        device="cpu",
    )


def test_it_explains_more_the_longer_it_trains(recipe: DistillationRecipe) -> None:
    short = distill(recipe.model_copy(update={"iterations": 1}), lambda line: None)
    longer = distill(recipe.model_copy(update={"iterations": 40}), lambda line: None)
    for kind in ("photographs", "paintings"):
        assert longer[kind].keys() == {x for layers in TEACHER_LAYERS.values() for x in layers}
        # For the deeper layers, the maps have more unknowns than these few pixels determine.
        assert longer[kind]["relu3_1"] < short[kind]["relu3_1"] < 1
    network = load_embedded_network(["relu2_2"], recipe.output)
    assert network(torch.rand(1, 3, 32, 32))["relu2_2"].isfinite().all()


def test_what_is_written_stands_for_the_teachers(recipe: DistillationRecipe) -> None:
    """Distances by the written network are those by the student's prediction of the teacher."""
    student = distillation._Lesson(torch.device("cpu"), torch.float32).new_student()
    network = student.embedded()
    one, two = torch.rand(2, 1, 3, 48, 48)
    for layer in student.maps:
        predicted = student(one, [layer])[layer] - student(two, [layer])[layer]
        standing_for = network(one)[layer] - network(two)[layer]
        torch.testing.assert_close(
            standing_for.square().mean(), predicted.square().mean(), rtol=1e-3, atol=0
        )


def test_the_maps_are_the_least_squares_solution(recipe: DistillationRecipe) -> None:
    """No other map explains more: the error is orthogonal to every feature."""
    lesson = distillation._Lesson(torch.device("cpu"), torch.float32)
    student = lesson.new_student()
    images = torch.rand(2, 3, 64, 64)
    lesson.solve_maps(student, [images])
    features = student.encoder.encode(torch.nn.functional.pad(images, (16,) * 4, mode="reflect"))
    for layer, (predicted, target) in lesson.pairs(student, "vgg19", images).items():
        margin = 16 * features[layer].shape[-1] // 96
        inside = features[layer][..., margin:-margin, margin:-margin]
        products = torch.einsum("bchw,bdhw->cd", predicted - target, inside)
        scale = torch.einsum("bchw,bdhw->cd", target.abs(), inside.abs())
        assert products.abs().max() <= 1e-3 * scale.max(), layer


def test_it_goes_on_after_a_kill_as_if_nothing_had_happened(
    recipe: DistillationRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "_ITERATIONS_PER_STATE", 2)
    monkeypatch.setattr(training_loop, "_ITERATIONS_PER_REPORT", 1)
    whole = distill(recipe, lambda line: None)

    class KilledError(Exception):
        pass

    def kill(line: str) -> None:
        if line.startswith("iteration 4/"):
            raise KilledError

    with pytest.raises(KilledError):
        distill(recipe, kill)
    lines: list[str] = []
    assert distill(recipe, lines.append) == whole
    assert lines[0] == "Going on from iteration 2."


def test_held_out_images_are_not_learned_from(
    recipe: DistillationRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []
    crop_of = distillation_data.random_crop

    def watched(path: Path, *arguments: object) -> torch.Tensor:
        seen.append(path)
        return crop_of(path, *arguments)

    monkeypatch.setattr(distillation_data, "random_crop", watched)
    distill(recipe, lambda line: None)
    assert {path.name for path in seen} == {"0.png", "1.png", "2.png"}


def test_crops_depend_on_seed_and_number_alone(recipe: DistillationRecipe) -> None:
    photographs, paintings = (
        sorted(folder.iterdir()) for folder in (recipe.content_images, recipe.style_images)
    )
    crops = DistillationCrops(photographs, paintings, 32, seed=1)
    again = DistillationCrops(photographs, paintings, 32, seed=1)
    for number in range(20):
        assert crops[number].shape == (3, 32, 32)
        assert crops[number].isfinite().all()
        assert torch.equal(crops[number], again[number])
    assert not torch.equal(crops[7], crops[8])


def test_an_empty_folder_is_refused(recipe: DistillationRecipe, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecipeError, match=r"no images in .*empty"):
        distill(recipe.model_copy(update={"style_images": tmp_path / "empty"}), print)
