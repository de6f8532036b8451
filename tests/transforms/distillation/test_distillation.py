"""Tests of the distillation: it learns, resumes, and does not train on held-out images."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from PIL import Image

from stylebeam.transforms.distillation import calibration, crops, optimized_images
from stylebeam.transforms.distillation import distill as distillation
from stylebeam.transforms.distillation.crops import DistillationCrops
from stylebeam.transforms.distillation.distill import DistillationConfig, distill
from stylebeam.transforms.distillation.student import Student
from stylebeam.transforms.distillation.teacher import Teacher
from stylebeam.transforms.losses.distilled_vgg import (
    LAYERS,
    READ_LAYERS,
    DistilledVgg,
    about_distilled_vgg,
    load_distilled_vgg,
    save_distilled_vgg,
)
from stylebeam.transforms.losses.functional import feature_reconstruction_loss
from stylebeam.transforms.losses.loss_network import interior_activations
from stylebeam.transforms.losses.vgg import Vgg, VggName
from stylebeam.transforms.training import loop
from stylebeam.transforms.training.data import TrainingImages
from stylebeam.transforms.training.loop_config import ConfigValueError


def random_vgg(name: VggName, layers: Iterable[str], *_: object) -> Vgg:
    """Return a teacher with random weights that preserve the scale of activations."""
    network = Vgg(name, layers)
    network.features.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 10_000
        torch.nn.init.normal_(parameter, std=(2 / fan_in) ** 0.5, generator=generator)
    return network.eval().requires_grad_(False)


def random_encoder() -> DistilledVgg:
    """Return an initial network; the one in closed form takes seconds to compute."""
    torch.manual_seed(0)
    network = DistilledVgg()
    for name, parameter in network.convolutions.named_parameters():
        if name.endswith("weight"):
            torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    return network


@pytest.fixture
def student_and_teacher() -> tuple[Student, Teacher]:
    torch.manual_seed(0)
    images = torch.rand(2, 3, 64, 64)
    teacher = Teacher(random_vgg("vgg19", LAYERS), torch.float32, images)
    return Student(random_encoder(), teacher, images), teacher


@pytest.fixture
def config(
    tmp_path: Path, gradient: Callable[[int, int], Image.Image], monkeypatch: pytest.MonkeyPatch
) -> DistillationConfig:
    """A small distillation with a teacher of random weights."""
    monkeypatch.setattr(distillation, "load_loss_network", random_vgg)
    monkeypatch.setattr(distillation, "IMAGES_FOR_START", 8)
    monkeypatch.setattr(distillation, "IMAGES_FOR_MEANS", 8)
    monkeypatch.setattr(distillation, "BATCHES_FOR_MAPS", 2)
    monkeypatch.setattr(distillation, "STEPS_PER_OPTIMIZED_IMAGE", 2)
    monkeypatch.setattr(distillation, "compress", lambda *_: random_encoder())
    monkeypatch.setattr(calibration, "PAIRS", 2)
    for folder in ("photos", "paintings"):
        (tmp_path / folder).mkdir()
        for number in range(4):
            image = gradient(80 + number, 64).rotate(90 * number)
            image.save(tmp_path / folder / f"{number}.png")
    return DistillationConfig(
        content_images=tmp_path / "photos",
        style_images=tmp_path / "paintings",
        held_out=("3.png",),
        output=tmp_path / "embedded.safetensors",
        crop_size=32,
        batch_size=2,
        iterations=6,
        learning_rate=1e-2,
        device="cpu",
    )


@pytest.mark.slow
def test_longer_training_explains_more_variance(config: DistillationConfig) -> None:
    small = {"batch_size": 1, "learning_rate": 2e-2}
    short = distill(config.model_copy(update={**small, "iterations": 1}), lambda line: None)
    longer = distill(config.model_copy(update={**small, "iterations": 16}), lambda line: None)
    for kind in ("photographs", "paintings"):
        assert longer[kind].keys() == set(LAYERS)
        assert longer[kind]["relu3_1"] < short[kind]["relu3_1"]
    network = load_distilled_vgg(["relu2_1"], config.output)
    assert network(torch.rand(1, 3, 32, 32))["relu2_1"].isfinite().all()


def test_the_teachers_activations_have_a_mean_square_of_1(
    student_and_teacher: tuple[Student, Teacher],
) -> None:
    torch.manual_seed(0)
    images = torch.rand(2, 3, 64, 64)
    _, teacher = student_and_teacher
    for layer, activations in teacher(images).items():
        assert activations.square().mean().item() == pytest.approx(1, rel=1e-3), layer
        variance = activations.var((0, 2, 3), correction=0).mean().item()
        assert teacher.variances[layer] == pytest.approx(variance, rel=1e-3), layer


def test_the_student_starts_as_the_given_encoder() -> None:
    torch.manual_seed(0)
    images, encoder = torch.rand(2, 3, 64, 64), random_encoder()
    teacher = Teacher(random_vgg("vgg19", LAYERS), torch.float32, images)
    student = Student(encoder, teacher, images)
    expected = encoder(images)
    for layer, features in student.distilled_vgg()(images).items():
        torch.testing.assert_close(features, expected[layer], rtol=1e-3, atol=2e-3)
    for kind in (student.matrices, student.vectors):
        for parameter in kind.values():
            assert parameter.square().mean().item() == pytest.approx(1, rel=1e-3)


def test_distances_of_the_distilled_vgg_are_those_of_the_predicted_activations(
    student_and_teacher: tuple[Student, Teacher],
) -> None:
    student, _ = student_and_teacher
    network = student.distilled_vgg()
    one, two = torch.rand(2, 1, 3, 48, 48)
    predictions, features = (student(one), student(two)), (network(one), network(two))
    for layer in LAYERS:
        predicted, with_readout = (
            feature_reconstruction_loss(first[layer], second[layer], readout)
            for (first, second), readout in (
                (predictions, None),
                (features, network.readout(layer)),
            )
        )
        torch.testing.assert_close(with_readout, predicted, rtol=1e-3, atol=0)


def test_the_maps_are_the_least_squares_solution(
    student_and_teacher: tuple[Student, Teacher],
) -> None:
    """The error of the least squares solution is orthogonal to every feature."""
    student, teacher = student_and_teacher
    images = torch.rand(2, 3, 64, 64)
    student.solve_maps(teacher, [images])
    features = interior_activations(student.distilled_vgg(), images)
    predicted = interior_activations(student, images)
    targets = teacher(images)
    for layer in student.maps:
        missed = predicted[layer] - targets[layer]
        products = torch.einsum("bchw,bdhw->cd", missed, features[layer])
        scale = torch.einsum("bchw,bdhw->cd", targets[layer].abs(), features[layer].abs())
        assert products.abs().max() <= 1e-3 * scale.max(), layer


@pytest.mark.slow
def test_a_killed_distillation_resumes_to_the_same_result(
    config: DistillationConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "ITERATIONS_PER_STATE", 2)
    monkeypatch.setattr(loop, "ITERATIONS_PER_REPORT", 1)
    short = config.model_copy(update={"iterations": 4, "batch_size": 1})
    whole = distill(short, lambda line: None)

    class KilledError(Exception):
        pass

    def kill(line: str) -> None:
        if line.startswith("iteration 3/"):
            raise KilledError

    with pytest.raises(KilledError):
        distill(short, kill)
    lines: list[str] = []
    assert distill(short, lines.append) == whole
    assert "Resuming from iteration 2." in lines


@pytest.mark.slow
def test_a_distillation_can_start_from_a_checkpoint(
    config: DistillationConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = tmp_path / "first.safetensors"
    save_distilled_vgg(random_encoder(), {"iterations": 7}, start)
    monkeypatch.setattr(distillation, "compress", None)  # must not be called
    lines: list[str] = []
    distill(
        config.model_copy(update={"start": start, "iterations": 1, "learning_rate": 1e-6}),
        lines.append,
    )
    assert lines[0] == f"Starting from {start}."
    assert about_distilled_vgg(config.output)["start"] == {"iterations": 7}
    layers = sorted(set(LAYERS) - set(READ_LAYERS))  # Readouts are computed again.
    images = torch.rand(1, 3, 64, 64)
    before, after = (load_distilled_vgg(layers, path)(images) for path in (start, config.output))
    for layer in layers:
        # Calibration scales each layer again.
        similarity = torch.cosine_similarity(before[layer].flatten(), after[layer].flatten(), 0)
        assert similarity > 0.999, layer


@pytest.mark.slow
def test_held_out_images_are_not_trained_on(
    config: DistillationConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Path] = []
    crop_of = crops.random_crop

    def recording(images: TrainingImages, *arguments: object) -> torch.Tensor:
        drawn.extend(images.files)
        return crop_of(images, *arguments)

    for module in (crops, optimized_images, calibration):
        monkeypatch.setattr(module, "random_crop", recording)
    # Damaged images are left out, among those to train on and the held-out ones.
    for name in ("photos/1.png", "paintings/held_3.png"):
        (config.output.parent / name).write_text("no image")
    lines: list[str] = []
    distill(config.model_copy(update={"held_out": ("*3.png",)}), lines.append)
    assert {path.name for path in drawn} == {"0.png", "1.png", "2.png"}
    for name in ("photos/1.png", "paintings/held_3.png"):
        [line] = [line for line in lines if name in line]
        assert line.startswith("An image is left out: ")
    assert lines[-2:] == [
        "1 of 3 images were left out: they cannot be read.",
        "1 of 2 images were left out: they cannot be read.",
    ]


def test_crops_depend_only_on_the_seed_and_their_number(config: DistillationConfig) -> None:
    photos, paintings = (
        TrainingImages(sorted(folder.iterdir()))
        for folder in (config.content_images, config.style_images)
    )
    crops = DistillationCrops(photos, paintings, 32, seed=1)
    again = DistillationCrops(photos, paintings, 32, seed=1)
    for number in range(20):
        assert crops[number].shape == (3, 32, 32)
        assert crops[number].isfinite().all()
        assert torch.equal(crops[number], again[number])
    assert not torch.equal(crops[7], crops[8])


def test_an_empty_folder_is_refused(config: DistillationConfig, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigValueError, match=r"no images in .*empty"):
        distill(config.model_copy(update={"style_images": tmp_path / "empty"}), print)
