"""VGG's ImageNet weights: where they are found, and the forms that they are published in."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal
from urllib.request import Request, urlopen

import torch
import torchvision
from torch import Tensor, nn

VggName = Literal["vgg16", "vgg19"]

WeightsConvention = Literal["torchvision", "caffe"]
"""What a network takes for an image.

torchvision: RGB in [0, 1], with ImageNet's mean subtracted and divided by its standard deviation.
caffe: BGR in 0..255, with ImageNet's mean subtracted. Such are Simonyan & Zisserman's own networks,
and Gatys's file of their VGG-19 (https://github.com/leongatys/PytorchNeuralStyleTransfer).
"""

WeightsFile = Path | BinaryIO
"""A file that torch.save wrote."""

IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]

# https://gist.github.com/ksimonyan/211839e770f7b538e2d8, the description of their networks.
_CAFFE_MEAN_BGR = [103.939, 116.779, 123.68]
_PUBLISHED: dict[str, torchvision.models.WeightsEnum] = {
    "vgg16": torchvision.models.VGG16_Weights.IMAGENET1K_V1,
    "vgg19": torchvision.models.VGG19_Weights.IMAGENET1K_V1,
}
_SECONDS_TO_ANSWER = 10.0


class WeightsUnavailableError(Exception):
    """The loss network's weights are neither on this machine nor to be downloaded, or unfit."""


def find_vgg_weights(name: VggName) -> Path:
    """Return torchvision's file in torch.hub's cache, downloaded if it is not there.

    A download's hash is checked. A file that is there already is used as it is: under
    torchvision's name a person may have placed other weights.

    Raises:
        WeightsUnavailableError: the file is not there and cannot be downloaded.
    """
    url = _PUBLISHED[name].url
    file = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if file.exists():
        return file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # torch.hub would wait for minutes where a firewall drops what is sent.
        urlopen(Request(url, method="HEAD"), timeout=_SECONDS_TO_ANSWER).close()
        print(f"Downloading {url} to {file.parent}", file=sys.stderr)
        torch.hub.download_url_to_file(url, str(file), hash_prefix=file.stem.rpartition("-")[2])
    except Exception as error:  # The network, the disk and the hash each raise kinds of their own.
        raise WeightsUnavailableError(
            f"The weights of {name} are not in torch.hub's cache and cannot be downloaded"
            f" ({_cause(error)}): run once with an internet connection, place {file.name} in"
            f" {file.parent} (set TORCH_HOME to keep the cache elsewhere), or use `loss_network:"
            " embedded`, which needs none."
        ) from error
    return file


def read_vgg_weights(
    name: VggName, file: WeightsFile, convention: WeightsConvention
) -> dict[str, Tensor]:
    """Return the weights of VGG's convolutions for torchvision's input convention.

    Caffe's input is a linear function of torchvision's, so that another first convolution computes
    the same. Only at the border is there a difference: the zeros that the image is padded with
    stand for the mean colour, and the two mean colours differ by half of one of 255 levels.

    Args:
        name: which VGG.
        file: what torch.save wrote; its keys are torchvision's (`features.0.weight`) or those of
            Gatys's file (`conv1_1.weight`), and it may hold more than the convolutions.
        convention: what the weights in the file take for an image.

    Returns:
        By torchvision's key, float32; the convolutions that the file holds, the first at least.

    Raises:
        WeightsUnavailableError: the file cannot be read, or holds other weights.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise WeightsUnavailableError(
            f"The weights of {name} cannot be read from {_name_of(file)}: {_cause(error)}."
        ) from error
    except Exception as error:  # Damaged and foreign files make torch.load raise nearly any kind.
        raise WeightsUnavailableError(
            f"The weights of {name} cannot be read from {_name_of(file)}: it is damaged, or not a"
            " file of tensors alone as torch.save writes it."
        ) from error
    weights = _convolutions(name, content, file)
    if convention == "caffe":
        first = weights["features.0.weight"], weights["features.0.bias"]
        weights["features.0.weight"], weights["features.0.bias"] = _from_caffe(*first)
    return weights


def unfit(name: VggName, file: WeightsFile, why: str) -> WeightsUnavailableError:
    """Return the error that says why the weights in a file are not a network's."""
    return WeightsUnavailableError(
        f"The weights in {_name_of(file)} are not those of {name}: {why}."
    )


def empty_features(name: VggName) -> nn.Sequential:
    """Return torchvision's `features` of a VGG, on the meta device, where weights cost nothing."""
    with torch.device("meta"):
        features: nn.Sequential = getattr(torchvision.models, name)(weights=None).features
    return features


def layer_names(features: nn.Sequential) -> list[str]:
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


def _convolutions(name: VggName, content: Any, file: WeightsFile) -> dict[str, Tensor]:
    """Return the convolutions among what a file holds, by torchvision's keys, in float32."""
    features = empty_features(name)
    shapes = {f"features.{key}": values.shape for key, values in features.state_dict().items()}
    torchvisions_key = {
        f"{layer}.{kind}": f"features.{place}.{kind}"
        for place, layer in enumerate(layer_names(features))
        for kind in ("weight", "bias")
    }
    weights = {}
    for its_key, values in content.items() if isinstance(content, Mapping) else ():
        if not str(its_key).startswith(("features.", "conv")):
            continue
        key = torchvisions_key.get(its_key, its_key)
        if key not in shapes:
            raise unfit(name, file, f"{its_key} is no part of it")
        if not isinstance(values, Tensor) or values.shape != shapes[key]:
            raise unfit(name, file, f"{its_key} is no tensor of shape {tuple(shapes[key])}")
        weights[key] = values.float()
    for key in ("features.0.weight", "features.0.bias"):
        if key not in weights:
            raise unfit(name, file, f"{key} is not among them")
    return weights


def _from_caffe(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first convolution for torchvision's input of which the one given is for Caffe's.

    With the colour c in [0, 1], torchvision's input is t = (c - mean) / std, and Caffe's, its
    channels in RGB's order, is 255 c - caffe_mean = 255 std t + (255 mean - caffe_mean).

    Args:
        weight: for BGR, shape (C, 3, 3, 3).
        bias: shape (C,).
    """
    weight = weight.flip(1)
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    offset = 255 * mean - torch.tensor(_CAFFE_MEAN_BGR).flip(0)
    return weight * (255 * std)[:, None, None], bias + weight.sum((2, 3)) @ offset


def _name_of(file: WeightsFile) -> str:
    return str(file if isinstance(file, Path) else getattr(file, "name", "the given file"))


def _cause(error: Exception) -> str:
    """Return the few words of an error that say what was wrong."""
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason)
