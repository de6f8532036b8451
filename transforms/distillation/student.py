"""The student of the distillation: the distilled VGG, parametrized to be easy to train."""

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
    """The distilled VGG with a linear map to each layer of the teacher that has more channels.

    The parameters are those of the encoder, a distilled VGG, with two changes. Each is divided by
    its initial root mean square, so that the learning rate is a relative change. And each bias is
    that of a convolution of centered inputs: features after a ReLU are never negative, so a change
    of a weight would mostly shift the mean of the output otherwise.

    Attributes:
        layers: the layers that it returns, which are the teacher's.
    """

    layers = frozenset(LAYERS)

    def __init__(self, encoder: DistilledVgg, teacher: Teacher, images: Tensor) -> None:
        """Parametrize an encoder, and solve for the maps.

        Args:
            encoder: with all of its layers.
            teacher: the network whose activations the maps predict.
            images: RGB in [0, 1], shape (B, 3, H, W), for the means of inputs and for the maps.
        """
        super().__init__()
        self._precision = teacher.precision
        self._means = _input_means(encoder, images)
        # In a list, so that its parameters are not registered as this module's: only their shapes
        # and their order are used.
        self._encoder = [encoder.requires_grad_(False)]
        tensors = {
            name: tensor.clone() for name, tensor in encoder.convolutions.state_dict().items()
        }
        self._shift_biases(tensors, 1)
        self._sizes = {name: _root_mean_square(tensor) for name, tensor in tensors.items()}
        # As matrices, which Muon needs.
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
            layers: the layers to return; by default all.
        """
        features = self._features(images, layers)
        return {
            layer: linear(values, self.maps[layer].to(values.dtype))
            if layer in self.maps
            else values
            for layer, values in features.items()
        }

    def readout(self, layer: str) -> None:
        """Return None: distances are computed from the predicted activations themselves."""

    @torch.no_grad()
    def distilled_vgg(self) -> DistilledVgg:
        """Return the distilled VGG: the encoder, with the maps reduced to readouts."""
        network = DistilledVgg().to(next(self.parameters()).device)
        network.convolutions.load_state_dict(self._tensors())
        for layer, linear_map in self.maps.items():
            network.readouts[layer].copy_(readout_of(linear_map))
        return network

    @torch.no_grad()
    def solve_maps(self, teacher: Teacher, batches: Iterable[Tensor]) -> None:
        """Set the maps to the least squares solution for the current encoder.

        Args:
            teacher: the network whose activations the maps predict.
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
        """Return the tensors of the encoder, computed from the parameters."""
        tensors = {}
        for name, tensor in self._encoder[0].convolutions.state_dict().items():
            parameters = self.vectors if tensor.ndim == 1 else self.matrices
            tensors[name] = parameters[_key(name)].view(tensor.shape) * self._sizes[name]
        self._shift_biases(tensors, -1)
        return tensors

    def _shift_biases(self, tensors: dict[str, Tensor], sign: int) -> None:
        """Convert biases in place, from plain inputs to centered ones.

        Args:
            tensors: of the encoder, by name.
            sign: 1; or -1 for the reverse conversion.
        """
        for convolution, mean in self._means.items():
            output = mean
            names = [name for name in tensors if name.startswith(f"{convolution}.")]
            for name in names:
                if name.endswith("weight"):
                    output = tensors[name].sum((2, 3)) @ output
                else:  # The bias of the last factor; `output` has passed through all factors.
                    tensors[name] = tensors[name] + sign * output


@torch.no_grad()
def _input_means(encoder: DistilledVgg, images: Tensor) -> dict[str, Tensor]:
    """Return the mean of each input channel of the convolutions, by their names."""
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
    """Return a name that `nn.ParameterDict` accepts as a key."""
    return name.replace(".", ":")


def _flat(activations: Tensor) -> Tensor:
    """Return activations as float64 of shape (C, B H W)."""
    return activations.double().transpose(0, 1).flatten(1)
