"""Distillation of VGG into the embedded loss network (`transforms.embedded_network`)."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torchvision.transforms.v2 import functional

from transforms.distillation_data import DistillationCrops
from transforms.embedded_network import (
    TEACHER_LAYERS,
    EmbeddedNetwork,
    channels_of,
    linear,
    readout_of,
    save_embedded_network,
)
from transforms.loss_network import interior_activations, load_loss_network
from transforms.training_data import list_images, read_style_image
from transforms.training_loop import LoopRecipe, RecipeError, run_iterations
from transforms.vgg import VggName

# The teachers take turns. VGG-19 has more layers, and two turns of three.
_TURNS: tuple[VggName, ...] = ("vgg19", "vgg19", "vgg16")

_CROPS_FOR_DEVIATION = 24
_BATCHES_FOR_MAPS = 300
_HELD_OUT_SIZE = 256


class DistillationRecipe(LoopRecipe):
    """Everything that decides what a distillation makes."""

    content_images: Path = Field(description="A folder of photographs, searched recursively.")
    style_images: Path = Field(description="A folder of paintings, searched recursively.")
    held_out: tuple[str, ...] = Field(
        default=(),
        description="Patterns of names, such as 01*.jpg, of images to judge by, not to learn from.",
    )
    crop_size: int = Field(default=160, ge=32, strict=True, description="Side of a crop in pixels.")
    batch_size: int = Field(default=4, ge=1, strict=True, description="Crops in an iteration.")


class Student(nn.Module):
    """The network in training: an encoder and a linear map to each layer of its teachers."""

    def __init__(self, layer_channels: Mapping[str, int]) -> None:
        """Build it with random weights.

        Args:
            layer_channels: the teachers' channels, by layer.
        """
        super().__init__()
        self.encoder = EmbeddedNetwork()
        self.encoder.readouts.requires_grad_(False)
        for name, parameter in self.encoder.convolutions.named_parameters():
            # PyTorch's own choice would have the deep features begin a thousand times too small.
            if name.endswith("weight"):
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")
            else:
                nn.init.zeros_(parameter)
        self.maps = nn.ParameterDict(
            {
                layer: torch.randn(channels, channels_of(layer)) / channels_of(layer) ** 0.5
                for layer, channels in layer_channels.items()
            }
        )

    def forward(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the predicted activations, by layer."""
        features = self.encoder.encode(images)
        return {layer: linear(features[layer], self.maps[layer]) for layer in layers}

    @torch.no_grad()
    def embedded(self) -> EmbeddedNetwork:
        """Return the network that ships: the encoder with what is kept of the maps."""
        for layer, linear_map in self.maps.items():
            self.encoder.readouts[layer].copy_(readout_of(linear_map))
        return self.encoder


def distill(
    recipe: DistillationRecipe, report: Callable[[str], None] = print
) -> dict[str, dict[str, float]]:
    """Distil VGG-19 and VGG-16 into an embedded network, and write it.

    The loss is, summed over the layers, the part of the variance of the layer's activations that
    the student leaves unexplained. A distillation of the same recipe that was killed goes on where
    it was.

    Args:
        recipe: what to learn from, and how long.
        report: receives a line of progress now and then.

    Returns:
        The unexplained variance of the held-out images, by kind of image and layer.

    Raises:
        RecipeError: something that the recipe names is not there, or unfit.
        TrainingError: an image cannot be read, or the loss is no longer finite.
        WeightsUnavailableError: the teachers' weights are not to be had.
        DeviceUnavailableError: the device is not there.
    """
    recipe.check_output()
    lesson = _Lesson(*recipe.choose_device())
    try:
        photographs = list_images(recipe.content_images, without=recipe.held_out)
        paintings = list_images(recipe.style_images, without=recipe.held_out)
    except ValueError as error:
        raise RecipeError(f"content_images or style_images: {error}.") from error
    crops = DistillationCrops(photographs, paintings, recipe.crop_size, recipe.seed)
    torch.manual_seed(recipe.seed)
    student = lesson.new_student()
    deviation = lesson.deviation(_batch(crops, range(_CROPS_FOR_DEVIATION)))

    def terms_of(iteration: int, batch: Tensor) -> dict[str, Tensor]:
        pairs = lesson.pairs(student, _TURNS[iteration % len(_TURNS)], batch)
        # Activations differ between layers by orders of magnitude; learnt at unit variance, each is
        # within reach of the same learning rate. The solution for the maps undoes it.
        return {
            layer: F.mse_loss(predicted, target / deviation[layer])
            for layer, (predicted, target) in pairs.items()
        }

    finished = run_iterations(recipe, student, crops, terms_of, report)
    report("Solving for the linear maps.")
    first = finished.iterations * recipe.batch_size
    starts = range(first, first + _BATCHES_FOR_MAPS * recipe.batch_size, recipe.batch_size)
    lesson.solve_maps(
        student, (_batch(crops, range(start, start + recipe.batch_size)) for start in starts)
    )
    unexplained = {
        kind: lesson.unexplained_variance(student, sorted(set(list_images(folder)) - set(seen)))
        for kind, folder, seen in (
            ("photographs", recipe.content_images, photographs),
            ("paintings", recipe.style_images, paintings),
        )
    }
    about = {
        "recipe": recipe.model_dump(
            mode="json", exclude={"output", "device", "content_images", "style_images"}
        ),
        "iterations": finished.iterations,
        "photographs": len(photographs),
        "paintings": len(paintings),
        "unexplained_variance": unexplained,
    }
    save_embedded_network(student.embedded(), about, recipe.output)
    finished.state.unlink(missing_ok=True)
    return unexplained


class _Lesson:
    """The teachers, on a device, and what a student can be asked about them."""

    def __init__(self, device: torch.device, precision: torch.dtype) -> None:
        self._device = device
        self._precision = precision
        self._teachers = {
            name: load_loss_network(name, layers, device, precision)
            for name, layers in TEACHER_LAYERS.items()
        }

    def new_student(self) -> Student:
        image = torch.zeros(1, 3, 32, 32, device=self._device)
        channels = {
            layer: values.shape[1]
            for teacher in self._teachers.values()
            for layer, values in teacher(image).items()
        }
        return Student(channels).to(self._device).to(memory_format=torch.channels_last)

    def pairs(
        self, student: Student, teacher: VggName, images: Tensor
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Return by layer the student's prediction and the teacher's activation, in float32."""
        images = images.to(self._device, memory_format=torch.channels_last)
        with torch.no_grad():
            targets = interior_activations(self._teachers[teacher], images)
        predicted = self._activations(lambda padded: student(padded, list(targets)), images)
        return {layer: (predicted[layer], target.float()) for layer, target in targets.items()}

    @torch.no_grad()
    def deviation(self, images: Tensor) -> dict[str, Tensor]:
        """Return by layer the standard deviation of the activations, over all channels."""
        return {
            layer: values.float().var(dim=(0, 2, 3)).mean().sqrt()
            for teacher in self._teachers.values()
            for layer, values in interior_activations(teacher, images.to(self._device)).items()
        }

    @torch.no_grad()
    def solve_maps(self, student: Student, batches: Iterable[Tensor]) -> None:
        """Replace the student's maps by the least squares solution for its encoder as it is."""
        covariance: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), dtype=torch.float64))
        for batch in batches:
            images = batch.to(self._device, memory_format=torch.channels_last)
            features = self._activations(student.encoder.encode, images)
            for teacher in self._teachers.values():
                for layer, target in interior_activations(teacher, images).items():
                    f, t = _flat(features[layer]), _flat(target)
                    covariance[layer] = covariance[layer] + torch.cat([f, t]) @ f.T
        for layer, linear_map in student.maps.items():
            channels = channels_of(layer)
            within, across = covariance[layer][:channels], covariance[layer][channels:]
            ridge = 1e-6 * within.diagonal().mean() * torch.eye(channels, dtype=within.dtype)
            solution = torch.linalg.solve(within + ridge, across.T).T
            linear_map.copy_(solution)

    @torch.no_grad()
    def unexplained_variance(self, student: Student, files: Sequence[Path]) -> dict[str, float]:
        """Return, by layer, the part of the activations' variance that the student misses."""
        error: dict[str, float] = defaultdict(float)
        moments: dict[str, Tensor] = defaultdict(lambda: torch.zeros(()))
        for file in files:
            image = functional.center_crop(read_style_image(file, _HELD_OUT_SIZE), [_HELD_OUT_SIZE])
            for teacher in self._teachers:
                for layer, (predicted, target) in self.pairs(student, teacher, image).items():
                    error[layer] += F.mse_loss(predicted, target).item()
                    values = target.double()
                    moments[layer] = moments[layer] + torch.stack(
                        [values.mean(dim=(0, 2, 3)), values.square().mean(dim=(0, 2, 3))]
                    )
        unexplained = {}
        for layer in sorted(error):
            mean, mean_square = moments[layer] / len(files)
            variance = (mean_square - mean.square()).mean().item()
            unexplained[layer] = round(error[layer] / len(files) / variance, 4)
        return unexplained

    def _activations(
        self, network: Callable[[Tensor], Mapping[str, Tensor]], images: Tensor
    ) -> dict[str, Tensor]:
        reduced = self._precision != torch.float32
        with torch.autocast(self._device.type, self._precision, enabled=reduced):
            activations = interior_activations(network, images)
        return {layer: values.float() for layer, values in activations.items()}


def _batch(crops: DistillationCrops, numbers: Iterable[int]) -> Tensor:
    return torch.stack([crops[number] for number in numbers])


def _flat(activations: Tensor) -> Tensor:
    """Return activations as float64 of shape (C, B H W)."""
    return activations.double().transpose(0, 1).flatten(1)
