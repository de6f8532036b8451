"""VGG-16 and VGG-19, cut at named layers, with ImageNet weights."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal

import torch
import torchvision
from torch import Tensor, nn
from torchvision.transforms.v2 import functional

VggName = Literal["vgg16", "vgg19"]

_WEIGHTS: dict[str, torchvision.models.WeightsEnum] = {
    "vgg16": torchvision.models.VGG16_Weights.IMAGENET1K_V1,
    "vgg19": torchvision.models.VGG19_Weights.IMAGENET1K_V1,
}
_IMAGENET_MEAN = [0.485, 0.456, 0.406]
_IMAGENET_STD = [0.229, 0.224, 0.225]


class WeightsUnavailableError(Exception):
    """The loss network's weights are neither on this machine nor to be downloaded, or unfit."""


class Vgg(nn.Module):
    """A frozen VGG that returns the activations of chosen layers.

    Layers are named as in the literature: `conv4_2` is the second convolution of the fourth
    block, `relu4_2` the rectifier after it, `pool4` the pooling at the block's end. The network
    ends at the deepest layer asked for.
    """

    def __init__(self, name: VggName, layers: Iterable[str]) -> None:
        """Build the network on the meta device; `load_vgg` fills in the weights.

        Raises:
            ValueError: a layer does not exist in this network.
        """
        super().__init__()
        self.name = name
        # On the meta device the 120 million unused weights of the classifier cost nothing.
        with torch.device("meta"):
            features = getattr(torchvision.models, name)(weights=None).features
        names = _layer_names(features)
        self.layers = frozenset(layers)
        unknown = sorted(self.layers - set(names))
        if unknown or not self.layers:
            raise ValueError(
                f"{name} has no layer {', '.join(unknown) or 'without a name'};"
                f" it has {', '.join(names)}."
            )
        depth = 1 + max(names.index(layer) for layer in self.layers)
        self.features = nn.Sequential(*list(features)[:depth])
        self._names = names[:depth]
        for module in self.features:
            if isinstance(module, nn.ReLU):
                # In place it would overwrite the activation of the convolution before it.
                module.inplace = False

    def forward(self, images: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        """Return the activations of the chosen layers.

        Args:
            images: RGB in [0, 1], shape (B, 3, H, W).
            layers: those that are wanted of the chosen ones; by default all.

        Returns:
            By layer name, activations of shape (B, C, H', W').
        """
        wanted = self.layers if layers is None else layers
        activations: dict[str, Tensor] = {}
        values = normalize(images).to(next(self.features.parameters()).dtype)
        for layer, module in zip(self._names, self.features, strict=True):
            values = module(values)
            if layer in wanted:
                activations[layer] = values
            if len(activations) == len(wanted):
                break
        return activations

    def readout(self, layer: str) -> None:
        """Say that distances are taken of a layer's activations as they are."""


def normalize(images: Tensor) -> Tensor:
    """Return images as ImageNet's networks take them: mean 0 and standard deviation 1 a channel.

    Args:
        images: RGB in [0, 1], shape (B, 3, H, W).
    """
    return functional.normalize(images, _IMAGENET_MEAN, _IMAGENET_STD)


def load_vgg(name: VggName, layers: Iterable[str], weights: Path | None = None) -> Vgg:
    """Return a VGG with its ImageNet weights, frozen.

    Args:
        name: which VGG.
        layers: the layers whose activations are wanted, such as `relu3_3`.
        weights: a state dict as torchvision publishes it; its `features.*` entries are enough.
            By default torchvision's file, from torch.hub's cache or downloaded with its hash
            checked.

    Raises:
        WeightsUnavailableError: the file is not there and cannot be downloaded, or does not fit.
    """
    network = Vgg(name, layers)
    state = _read_weights(name, weights)
    wanted = network.state_dict().keys()
    missing = sorted(wanted - state.keys())
    if missing:
        raise WeightsUnavailableError(
            f"The weights in {weights or 'the cache of torch.hub'} are not those of {name}:"
            f" {missing[0]} is not among them."
        )
    chosen = {key: state[key].float() for key in wanted}
    try:
        network.load_state_dict(chosen, assign=True)
    except RuntimeError as error:
        raise WeightsUnavailableError(f"The weights do not fit {name}: {error}") from error
    return network.eval().requires_grad_(False)


def _layer_names(features: nn.Sequential) -> list[str]:
    """Name each module of torchvision's VGG as the literature does."""
    names = []
    block = position = 1
    for module in features:
        kind = {nn.Conv2d: "conv", nn.ReLU: "relu", nn.MaxPool2d: "pool"}[type(module)]
        if kind == "pool":
            names.append(f"pool{block}")
            block, position = block + 1, 1
        else:
            names.append(f"{kind}{block}_{position}")
            position += kind == "relu"
    return names


def _read_weights(name: VggName, weights: Path | None) -> dict[str, Tensor]:
    try:
        if weights is not None:
            return torch.load(weights, map_location="cpu", weights_only=True)
        return torch.hub.load_state_dict_from_url(
            _WEIGHTS[name].url, map_location="cpu", check_hash=True, weights_only=True
        )
    except Exception as error:  # Unpickling, hashing and the network each raise kinds of their own.
        file = re.sub(r".*/", "", _WEIGHTS[name].url)
        raise WeightsUnavailableError(
            f"The weights of {name} could not be read from"
            f" {weights or 'the cache of torch.hub, nor downloaded'} ({error}). Run once with an"
            f" internet connection, or place {file} in {torch.hub.get_dir()}/checkpoints (set"
            " TORCH_HOME to keep the cache elsewhere)."
        ) from error
