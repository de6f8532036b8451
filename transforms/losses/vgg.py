"""VGG-16 and VGG-19, cut at named layers, with ImageNet weights."""

from collections.abc import Callable, Collection, Iterable
from typing import Literal

from torch import Tensor, nn
from torchvision.transforms.v2 import functional

from stylebeam.transforms.losses.pooling import average_pool, max_pool
from stylebeam.transforms.losses.vgg_weights import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    VggName,
    WeightsConvention,
    WeightsFile,
    WeightsUnavailableError,
    empty_features,
    find_vgg_weights,
    layer_names,
    read_vgg_weights,
    unfit,
)

__all__ = ["Pooling", "Vgg", "VggName", "WeightsUnavailableError", "load_vgg", "normalize"]

Pooling = Literal["max", "average"]
"""The pooling at the end of each block. VGG was trained with the maximum; Gatys et al. 2016,
section 2, found that the average gives slightly more appealing results."""


class Vgg(nn.Module):
    """A frozen VGG that returns the activations of chosen layers.

    Layers are named as in the literature: `conv4_2` is the second convolution of the fourth
    block, `relu4_2` the ReLU after it, `pool4` the pooling at the end of the block. The network
    ends at the deepest of the chosen layers.
    """

    def __init__(self, name: VggName, layers: Iterable[str], pooling: Pooling = "max") -> None:
        """Build the network on the meta device; `load_vgg` fills in the weights.

        Args:
            name: VGG-16 or VGG-19.
            layers: the layers to return.
            pooling: at the end of each block.

        Raises:
            ValueError: the network does not have one of the layers.
        """
        super().__init__()
        self.name = name
        features = empty_features(name)
        names = layer_names(features)
        self.layers = frozenset(layers)
        unknown = sorted(self.layers - set(names))
        if unknown or not self.layers:
            raise ValueError(
                f"{name} has no layer {', '.join(unknown) or 'without a name'};"
                f" it has {', '.join(names)}."
            )
        depth = 1 + max(names.index(layer) for layer in self.layers)
        self.features = features[:depth]
        self._names = names[:depth]
        for index, module in enumerate(self.features):
            if isinstance(module, nn.ReLU):
                # In place it needs no memory, but overwrites the output of the convolution.
                module.inplace = names[index - 1] not in self.layers
            elif isinstance(module, nn.MaxPool2d):
                self.features[index] = _Pool(average_pool if pooling == "average" else max_pool)

    def forward(self, images: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        """Return the activations of the chosen layers.

        Args:
            images: RGB in [0, 1], shape (B, 3, H, W).
            layers: a subset of the chosen layers; by default all.

        Returns:
            By layer name, activations of shape (B, C, H', W').
        """
        requested = self.layers if layers is None else layers
        activations: dict[str, Tensor] = {}
        values = normalize(images).to(next(self.features.parameters()).dtype)
        for layer, module in zip(self._names, self.features, strict=True):
            values = module(values)
            if layer in requested:
                activations[layer] = values
            if len(activations) == len(requested):
                break
        return activations

    def readout(self, layer: str) -> None:
        """Return None: activations are compared as they are."""


class _Pool(nn.Module):
    """A pooling as a module."""

    def __init__(self, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._pool = pool

    def forward(self, values: Tensor) -> Tensor:
        return self._pool(values)


def normalize(images: Tensor) -> Tensor:
    """Normalize images to ImageNet's mean and standard deviation.

    Args:
        images: RGB in [0, 1], shape (B, 3, H, W).
    """
    return functional.normalize(images, IMAGENET_MEAN, IMAGENET_STD)


def load_vgg(
    name: VggName,
    layers: Iterable[str],
    weights: WeightsFile | None = None,
    convention: WeightsConvention = "torchvision",
    pooling: Pooling = "max",
) -> Vgg:
    """Return a VGG with its ImageNet weights in float32, frozen.

    Args:
        name: VGG-16 or VGG-19.
        layers: the layers to return, such as `relu3_3`.
        weights: a file for `read_vgg_weights`; it may end after the deepest layer. By default
            torchvision's, from torch.hub's cache or downloaded.
        convention: the input that the weights in the file expect.
        pooling: at the end of each block.

    Raises:
        ValueError: the network does not have one of the layers.
        WeightsUnavailableError: the file cannot be found or downloaded, or does not fit.
    """
    network = Vgg(name, layers, pooling)
    file = find_vgg_weights(name) if weights is None else weights
    available = read_vgg_weights(name, file, convention)
    needed = list(network.state_dict())
    missing = [key for key in needed if key not in available]
    if missing:
        raise unfit(name, file, f"{missing[0]} is missing")
    network.load_state_dict({key: available[key] for key in needed}, assign=True)
    return network.eval().requires_grad_(False)
