"""The config and the training of a distillation."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torchvision.transforms.v2 import functional

from stylebeam.transforms.distillation.calibration import calibrate
from stylebeam.transforms.distillation.compression import compress
from stylebeam.transforms.distillation.crops import DistillationCrops
from stylebeam.transforms.distillation.optimized_images import OptimizedImages
from stylebeam.transforms.distillation.student import Student
from stylebeam.transforms.distillation.teacher import Teacher
from stylebeam.transforms.losses.distilled_vgg import (
    LAYERS,
    WIDTHS,
    about_distilled_vgg,
    load_distilled_vgg,
    save_distilled_vgg,
)
from stylebeam.transforms.losses.loss_network import interior_activations, load_loss_network
from stylebeam.transforms.training.data import TrainingImages, at_short_side, list_images
from stylebeam.transforms.training.loop import run_iterations
from stylebeam.transforms.training.loop_config import ConfigValueError, LoopConfig
from stylebeam.transforms.training.optimizers import Muon

IMAGES_FOR_START = 200
"""Crops that VGG-19 is compressed with."""

IMAGES_FOR_MEANS = 48
"""Crops that the means and scales of the activations are computed from."""

BATCHES_FOR_MAPS = 100
"""Batches of four crops that the linear maps are solved with."""

STEPS_PER_OPTIMIZED_IMAGE = 50
"""Optimization steps of an image before a new one is started.

It divides the number of iterations between two state files, so that a distillation that was
interrupted resumes where new images are started anyway.
"""

_HELD_OUT_SIZE = 256

# The root mean square of Muon's updates, relative to the learning rate; for Adam it is 1.
_UPDATE_OF_MUON = 0.2


class DistillationConfig(LoopConfig):
    """Settings of a distillation."""

    content_images: Path = Field(description="A folder of photos, searched recursively.")
    style_images: Path = Field(description="A folder of paintings, searched recursively.")
    held_out: tuple[str, ...] = Field(
        default=(),
        description="Patterns of file names, such as 01*.jpg, of images to evaluate on instead of"
        " training on.",
    )
    start: Path | None = Field(
        default=None,
        description="A checkpoint of a distilled VGG to train further, instead of compressing"
        " VGG-19.",
    )
    crop_size: int = Field(default=160, ge=32, strict=True, description="Side of a crop in pixels.")
    batch_size: int = Field(
        default=2,
        ge=1,
        strict=True,
        description="Crops in an iteration, and as many optimized images.",
    )
    learning_rate: float = Field(
        default=0.02,
        gt=0,
        strict=True,
        description="Peak of the one-cycle schedule: five times the relative change of a weight in"
        " an update.",
    )


def distill(
    config: DistillationConfig, report: Callable[[str], None] = print
) -> dict[str, dict[str, float]]:
    """Distill VGG-19 into a distilled VGG, and write its checkpoint.

    The loss is the unexplained variance, the part of the variance of the teacher's activations that
    the student does not predict, summed over layers. If a distillation of the same config was
    interrupted, it resumes from its last state.

    Args:
        config: what to train on, and how long.
        report: receives lines of progress.

    Returns:
        The unexplained variance of the held-out images, by kind of image and layer.

    Raises:
        ConfigValueError: a value of the config cannot be used.
        TrainingError: no image can be read, or the loss is no longer finite.
        OSError, ImageError: likewise before or after the training loop.
        WeightsUnavailableError: the weights of VGG-19 are not available.
        DeviceUnavailableError: the device is not available.
    """
    config.check_output()
    device, precision = config.choose_device()
    images = _split_images(config, report)
    crops = DistillationCrops(images.photos, images.paintings, config.crop_size, config.seed)
    report(
        f"Starting from {config.start}." if config.start else "Compressing VGG-19 in closed form."
    )
    student, teacher = _student_and_teacher(config.start, crops, device, precision)
    optimized = OptimizedImages(
        student,
        images.photos,
        images.paintings,
        config.crop_size,
        count=config.batch_size,
        steps=STEPS_PER_OPTIMIZED_IMAGE,
        seed=config.seed,
    )

    def terms_of(iteration: int, batch: Tensor) -> dict[str, Tensor]:
        batch, during_optimization = batch.to(device), optimized.at(iteration, device)
        targets = teacher(torch.cat([batch, during_optimization.detach()]))
        predicted = interior_activations(student, batch)
        predicted_optimized = interior_activations(student, during_optimization)
        optimized.advance(during_optimization, predicted_optimized)
        terms = {}
        for layer, target in targets.items():
            predictions = torch.cat([predicted[layer], predicted_optimized[layer]]).float()
            terms[layer] = F.mse_loss(predictions, target) / teacher.variances[layer]
        return terms

    finished = run_iterations(
        config, student, crops, terms_of, report, _optimizers(student, config.learning_rate)
    )
    report("Solving for the linear maps and calibrating.")
    first = finished.iterations * config.batch_size
    starts = range(first, first + 4 * BATCHES_FOR_MAPS, 4)
    student.solve_maps(
        teacher, (_batch(crops, range(start, start + 4)).to(device) for start in starts)
    )
    unexplained = {
        kind: unexplained_variance(student, teacher, held_out, device)
        for kind, held_out in images.held_out.items()
    }
    network = student.distilled_vgg()
    gains = calibrate(network, teacher, images.photos, images.paintings, config.crop_size, device)
    about = {
        "recipe": config.model_dump(
            mode="json",
            exclude={"output", "device", "content_images", "style_images", "tensorboard"},
        ),
        "iterations": finished.iterations,
        "photographs": len(images.photos.files),
        "paintings": len(images.paintings.files),
        "unexplained_variance": unexplained,
        "scales": teacher.scales,
        "gains": gains,
        "start": about_distilled_vgg(config.start) if config.start else None,
    }
    save_distilled_vgg(network, about, config.output)
    finished.state.unlink(missing_ok=True)
    for each in (images.photos, images.paintings, *images.held_out.values()):
        each.report_left_out()
    return unexplained


class _Images(NamedTuple):
    """The images to train on, and the held-out ones by kind."""

    photos: TrainingImages
    paintings: TrainingImages
    held_out: dict[str, TrainingImages]


def _split_images(config: DistillationConfig, report: Callable[[str], None]) -> _Images:
    """Return the images of the config, the held-out ones separated.

    Raises:
        ConfigValueError: a folder has no images to train on.
    """
    try:
        photos = list_images(config.content_images, without=config.held_out)
        paintings = list_images(config.style_images, without=config.held_out)
    except ValueError as error:
        raise ConfigValueError(f"content_images or style_images: {error}.") from error
    held_out = {
        "photographs": sorted(set(list_images(config.content_images)) - set(photos)),
        "paintings": sorted(set(list_images(config.style_images)) - set(paintings)),
    }
    return _Images(
        TrainingImages(photos, report),
        TrainingImages(paintings, report),
        {kind: TrainingImages(files, report) for kind, files in held_out.items()},
    )


def _student_and_teacher(
    start: Path | None, crops: DistillationCrops, device: torch.device, precision: torch.dtype
) -> tuple[Student, Teacher]:
    """Return the teacher, and the student made from a checkpoint or by compression."""
    if start:
        encoder = load_distilled_vgg(LAYERS, start)
    else:
        vgg19 = load_loss_network("vgg19", WIDTHS, torch.device("cpu"), precision)
        encoder = compress(vgg19, _batch(crops, range(IMAGES_FOR_START)))
    images = _batch(crops, range(IMAGES_FOR_MEANS)).to(device)
    teacher = Teacher(load_loss_network("vgg19", LAYERS, device, precision), precision, images)
    return Student(encoder.to(device), teacher, images), teacher


@torch.no_grad()
def unexplained_variance(
    student: Student, teacher: Teacher, images: TrainingImages, device: torch.device
) -> dict[str, float]:
    """Return the part of the variance of the activations that the student does not predict.

    Args:
        student: the network that predicts.
        teacher: the network whose activations are predicted.
        images: of which the central square is used; those that cannot be read are left out.
        device: of both networks.

    Returns:
        From 0 for a perfect prediction, by layer.
    """
    error: dict[str, float] = defaultdict(float)
    moments: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=device))
    count = 0
    for number in range(len(images.files)):
        pixels = images.read(number)
        if pixels is None:
            continue
        count += 1
        image = functional.center_crop(at_short_side(pixels, _HELD_OUT_SIZE), [_HELD_OUT_SIZE])
        predicted = interior_activations(student, image.to(device))
        for layer, target in teacher(image.to(device)).items():
            error[layer] += F.mse_loss(predicted[layer].float(), target).item()
            moments[layer] = moments[layer] + torch.stack(
                [target.mean(dim=(0, 2, 3)), target.square().mean(dim=(0, 2, 3))]
            )
    unexplained = {}
    for layer in sorted(error):
        mean, mean_square = moments[layer] / count
        variance = (mean_square - mean.square()).mean().item()
        unexplained[layer] = round(error[layer] / count / variance, 4)
    return unexplained


def _optimizers(student: Student, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices, as Adam does not train the deep ones, and Adam for the rest."""
    return [
        Muon(student.matrices.parameters(), learning_rate),
        torch.optim.Adam(
            [*student.vectors.parameters(), *student.maps.parameters()],
            lr=_UPDATE_OF_MUON * learning_rate,
        ),
    ]


def _batch(crops: DistillationCrops, numbers: Iterable[int]) -> Tensor:
    return torch.stack([crops[number] for number in numbers])
