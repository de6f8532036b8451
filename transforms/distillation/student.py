"""The student of a distillation: an embedded loss network whose weights are easy to train."""

from collections import defaultdict
from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from stylebeam.transforms.distillation.teacher import Teacher
from stylebeam.transforms.losses.distilled_vgg import (
    LAYERS,
    READ_LAYERS,
    DistilledVgg,
    linear,
    readout_of,
)
from stylebeam.transforms.losses.loss_network import interior_activations


class Student(nn.Module):
    """The embedded network with a linear map to each layer of the teacher that has more channels.

    Its parameters are the encoder's tensors, each divided by the root mean square that it began
    with, so that a learning rate is a relative change; and each convolution's bias is that for
    centred inputs. Rectified features are never negative: without that, every change of a weight
    would shift the output first of all.

    Attributes:
        layers: those that it returns, the teacher's.
    """

    layers = frozenset(LAYERS)

    def __init__(self, encoder: DistilledVgg, teacher: Teacher, images: Tensor) -> None:
        """Take an encoder as the beginning, and solve for the maps.

        Args:
            encoder: with all of its layers.
            teacher: what the maps are to return.
            images: RGB in [0, 1], shape (B, 3, H, W), from which means and maps are known.
        """
        super().__init__()
        self._precision = teacher.precision
        self._means = _input_means(encoder, images)
        # In a list, its own tensors are no part of this module: only their shapes and order are of
        # use from here on.
        self._encoder = [encoder.requires_grad_(False)]
        tensors = {
            name: tensor.clone() for name, tensor in encoder.convolutions.state_dict().items()
        }
        self._shift_biases(tensors, 1)
        self._sizes = {name: _root_mean_square(tensor) for name, tensor in tensors.items()}
        # As matrices, since Muon takes nothing else.
        self.matrices = nn.ParameterDict()
        self.vectors = nn.ParameterDict()
        for name, tensor in tensors.items():
            kind = self.vectors if tensor.ndim == 1 else self.matrices
            values = tensor if tensor.ndim == 1 else tensor.flatten(1)
            kind[_key(name)] = values / self._sizes[name]
        self.maps = nn.ParameterDict(
            {
                layer: torch.empty(channels, encoder.readouts[layer].shape[0])
                for layer, channels in teacher.channels.items()
                if layer in READ_LAYERS
            }
        ).to(images.device)
        self.solve_maps(teacher, images.split(4))

    def forward(self, images: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        """Return the predicted activations of the teacher, by layer.

        Args:
            images: RGB in [0, 1], shape (B, 3, H, W).
            layers: those that are wanted; by default all.
        """
        features = self._features(images, layers)
        return {
            layer: linear(values, self.maps[layer].to(values.dtype))
            if layer in self.maps
            else values
            for layer, values in features.items()
        }

    def readout(self, layer: str) -> None:
        """Say that distances are taken of the predicted activations as they are."""

    @torch.no_grad()
    def embedded(self) -> DistilledVgg:
        """Return the network that ships: the encoder, with what is kept of the maps."""
        network = DistilledVgg().to(next(self.parameters()).device)
        network.convolutions.load_state_dict(self._tensors())
        for layer, linear_map in self.maps.items():
            network.readouts[layer].copy_(readout_of(linear_map))
        return network

    @torch.no_grad()
    def solve_maps(self, teacher: Teacher, batches: Iterable[Tensor]) -> None:
        """Replace the maps by the least squares solution for the encoder as it is.

        Args:
            teacher: what the maps are to return.
            batches: images, RGB in [0, 1], each of shape (B, 3, H, W).
        """
        products: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), dtype=torch.float64))
        for images in batches:
            features = interior_activations(self._features, images)
            targets = teacher(images)
            for layer in self.maps:
                f, t = _flat(features[layer]), _flat(targets[layer])
                products[layer] = products[layer] + (torch.cat([f, t]) @ f.T).cpu()
        for layer, linear_map in self.maps.items():
            channels = linear_map.shape[1]
            within, across = products[layer][:channels], products[layer][channels:]
            ridge = 1e-6 * within.diagonal().mean() * torch.eye(channels, dtype=within.dtype)
            linear_map.copy_(torch.linalg.solve(within + ridge, across.T).T)

    def _features(self, images: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        tensors = {f"convolutions.{name}": tensor for name, tensor in self._tensors().items()}
        reduced = self._precision != torch.float32
        with torch.autocast(images.device.type, self._precision, enabled=reduced):
            return functional_call(self._encoder[0], tensors, (images, layers))

    def _tensors(self) -> dict[str, Tensor]:
        """Return the encoder's tensors, as functions of the parameters."""
        tensors = {}
        for name, tensor in self._encoder[0].convolutions.state_dict().items():
            parameters = self.vectors if tensor.ndim == 1 else self.matrices
            tensors[name] = parameters[_key(name)].view(tensor.shape) * self._sizes[name]
        self._shift_biases(tensors, -1)
        return tensors

    def _shift_biases(self, tensors: dict[str, Tensor], sign: int) -> None:
        """Make biases for inputs as they are those for centred ones, or, negative, the reverse."""
        for convolution, mean in self._means.items():
            output = mean
            names = [name for name in tensors if name.startswith(f"{convolution}.")]
            for name in names:
                if name.endswith("weight"):
                    output = tensors[name].sum((2, 3)) @ output
                else:  # The last factor's: by now the output has passed them all.
                    tensors[name] = tensors[name] + sign * output


@torch.no_grad()
def _input_means(encoder: DistilledVgg, images: Tensor) -> dict[str, Tensor]:
    """Return the mean of each channel that a convolution is given, by the convolution's name."""
    means: dict[str, Tensor] = {}
    hooks = [
        convolution.register_forward_pre_hook(
            lambda _, inputs, name=name: means.update({name: inputs[0].mean((0, 2, 3))})
        )
        for name, convolution in encoder.convolutions.items()
    ]
    encoder(images)
    for hook in hooks:
        hook.remove()
    return means


def _root_mean_square(tensor: Tensor) -> float:
    return max(tensor.square().mean().sqrt().item(), 1e-6)


def _key(name: str) -> str:
    """Return a name that a dictionary of parameters accepts."""
    return name.replace(".", ":")


def _flat(activations: Tensor) -> Tensor:
    """Return activations as float64 of shape (C, B H W)."""
    return activations.double().transpose(0, 1).flatten(1)
