"""The distillation: the config, and the training."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
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
from stylebeam.transforms.distillation.optimized_images import OptimisedImages
from stylebeam.transforms.distillation.student import Student
from stylebeam.transforms.distillation.teacher import Teacher
from stylebeam.transforms.losses.distilled_vgg import (
    LAYERS,
    WIDTHS,
    about_embedded_network,
    load_embedded_network,
    save_embedded_network,
)
from stylebeam.transforms.losses.loss_network import interior_activations, load_loss_network
from stylebeam.transforms.training.data import list_images, read_style_image
from stylebeam.transforms.training.loop import run_iterations
from stylebeam.transforms.training.loop_config import ConfigValueError, LoopConfig
from stylebeam.transforms.training.optimizers import Muon

_IMAGES_FOR_START = 200
_IMAGES_FOR_MEANS = 48
_BATCHES_FOR_MAPS = 100
_HELD_OUT_SIZE = 256

# It divides the iterations between two state files, so that a distillation that was killed goes on
# where new ways begin anyway.
_STEPS_OF_A_WAY = 50

# The root mean square of Muon's update, relative to its learning rate; that of Adam's is 1.
_UPDATE_OF_MUON = 0.2


class DistillationConfig(LoopConfig):
    """Everything that decides what a distillation makes."""

    content_images: Path = Field(description="A folder of photographs, searched recursively.")
    style_images: Path = Field(description="A folder of paintings, searched recursively.")
    held_out: tuple[str, ...] = Field(
        default=(),
        description="Patterns of names, such as 01*.jpg, of images to judge by, not to learn from.",
    )
    start: Path | None = Field(
        default=None,
        description="An embedded network to improve, instead of compressing VGG-19 anew.",
    )
    crop_size: int = Field(default=160, ge=32, strict=True, description="Side of a crop in pixels.")
    batch_size: int = Field(
        default=2, ge=1, strict=True, description="Crops in an iteration, and optimised images."
    )
    learning_rate: float = Field(
        default=0.02,
        gt=0,
        strict=True,
        description="Peak of the one-cycle schedule: five times the relative change of a weight.",
    )


def distill(
    config: DistillationConfig, report: Callable[[str], None] = print
) -> dict[str, dict[str, float]]:
    """Distil VGG-19 into an embedded network, and write it.

    The loss is, summed over the layers, the part of the variance of the layer's activations that
    the student leaves unexplained. A distillation of the same config that was killed goes on where
    it was.

    Args:
        config: what to learn from, and how long.
        report: receives a line of progress now and then.

    Returns:
        The unexplained variance of the held-out images, by kind of image and layer.

    Raises:
        ConfigValueError: something that the config names is not there, or unfit.
        TrainingError: an image cannot be read, or the loss is no longer finite.
        OSError: an image cannot be read, before or beside the loop.
        ImageError: an image cannot be decoded, likewise.
        WeightsUnavailableError: the teacher's weights are not to be had.
        DeviceUnavailableError: the device is not there.
    """
    config.check_output()
    device, precision = config.choose_device()
    images = _split(config)
    crops = DistillationCrops(images.photographs, images.paintings, config.crop_size, config.seed)
    report(
        f"Going on from {config.start}." if config.start else "Compressing VGG-19 in closed form."
    )
    student, teacher = _begin(config.start, crops, device, precision)
    optimised = OptimisedImages(
        student,
        images.photographs,
        images.paintings,
        config.crop_size,
        count=config.batch_size,
        steps=_STEPS_OF_A_WAY,
        seed=config.seed,
    )

    def terms_of(iteration: int, batch: Tensor) -> dict[str, Tensor]:
        batch, on_their_way = batch.to(device), optimised.at(iteration, device)
        targets = teacher(torch.cat([batch, on_their_way.detach()]))
        predicted = interior_activations(student, batch)
        predicted_on_way = interior_activations(student, on_their_way)
        optimised.advance(on_their_way, predicted_on_way)
        terms = {}
        for layer, target in targets.items():
            both = torch.cat([predicted[layer], predicted_on_way[layer]]).float()
            terms[layer] = F.mse_loss(both, target) / teacher.variances[layer]
        return terms

    finished = run_iterations(
        config, student, crops, terms_of, report, _optimizers(student, config.learning_rate)
    )
    report("Solving for the linear maps, and calibrating.")
    first = finished.iterations * config.batch_size
    starts = range(first, first + 4 * _BATCHES_FOR_MAPS, 4)
    student.solve_maps(
        teacher, (_batch(crops, range(start, start + 4)).to(device) for start in starts)
    )
    unexplained = {
        kind: unexplained_variance(student, teacher, files, device)
        for kind, files in images.held_out.items()
    }
    embedded = student.embedded()
    gains = calibrate(
        embedded, teacher, images.photographs, images.paintings, config.crop_size, device
    )
    about = {
        "recipe": config.model_dump(
            mode="json",
            exclude={"output", "device", "content_images", "style_images", "tensorboard"},
        ),
        "iterations": finished.iterations,
        "photographs": len(images.photographs),
        "paintings": len(images.paintings),
        "unexplained_variance": unexplained,
        "scales": teacher.scales,
        "gains": gains,
        "start": about_embedded_network(config.start) if config.start else None,
    }
    save_embedded_network(embedded, about, config.output)
    finished.state.unlink(missing_ok=True)
    return unexplained


class _Images(NamedTuple):
    """The files to learn from, and by kind those to judge by."""

    photographs: list[Path]
    paintings: list[Path]
    held_out: dict[str, list[Path]]


def _split(config: DistillationConfig) -> _Images:
    """Set what is held out apart.

    Raises:
        ConfigValueError: there is nothing to learn from.
    """
    try:
        photographs = list_images(config.content_images, without=config.held_out)
        paintings = list_images(config.style_images, without=config.held_out)
    except ValueError as error:
        raise ConfigValueError(f"content_images or style_images: {error}.") from error
    held_out = {
        "photographs": sorted(set(list_images(config.content_images)) - set(photographs)),
        "paintings": sorted(set(list_images(config.style_images)) - set(paintings)),
    }
    return _Images(photographs, paintings, held_out)


def _begin(
    start: Path | None, crops: DistillationCrops, device: torch.device, precision: torch.dtype
) -> tuple[Student, Teacher]:
    """Return the student as its first network or compression makes it, and its teacher."""
    if start:
        encoder = load_embedded_network(LAYERS, start)
    else:
        vgg19 = load_loss_network("vgg19", WIDTHS, torch.device("cpu"), precision)
        encoder = compress(vgg19, _batch(crops, range(_IMAGES_FOR_START)))
    images = _batch(crops, range(_IMAGES_FOR_MEANS)).to(device)
    teacher = Teacher(load_loss_network("vgg19", LAYERS, device, precision), precision, images)
    return Student(encoder.to(device), teacher, images), teacher


@torch.no_grad()
def unexplained_variance(
    student: Student, teacher: Teacher, files: Sequence[Path], device: torch.device
) -> dict[str, float]:
    """Return, by layer, the part of the activations' variance that the student misses.

    Args:
        student: what predicts.
        teacher: what is to be predicted.
        files: images, of which a square in the middle counts.
        device: where both are.
    """
    error: dict[str, float] = defaultdict(float)
    moments: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=device))
    for file in files:
        image = functional.center_crop(read_style_image(file, _HELD_OUT_SIZE), [_HELD_OUT_SIZE])
        predicted = interior_activations(student, image.to(device))
        for layer, target in teacher(image.to(device)).items():
            error[layer] += F.mse_loss(predicted[layer].float(), target).item()
            moments[layer] = moments[layer] + torch.stack(
                [target.mean(dim=(0, 2, 3)), target.square().mean(dim=(0, 2, 3))]
            )
    unexplained = {}
    for layer in sorted(error):
        mean, mean_square = moments[layer] / len(files)
        variance = (mean_square - mean.square()).mean().item()
        unexplained[layer] = round(error[layer] / len(files) / variance, 4)
    return unexplained


def _optimizers(student: Student, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices, in whose deep ones Adam got nowhere, and Adam for the rest."""
    return [
        Muon(student.matrices.parameters(), learning_rate),
        torch.optim.Adam(
            [*student.vectors.parameters(), *student.maps.parameters()],
            lr=_UPDATE_OF_MUON * learning_rate,
        ),
    ]


def _batch(crops: DistillationCrops, numbers: Iterable[int]) -> Tensor:
    return torch.stack([crops[number] for number in numbers])
