"""VGG's ImageNet weights: where files are found, and the formats in which they are published."""

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
"""The input that weights expect.

torchvision: RGB in [0, 1], normalized by ImageNet's mean and standard deviation.
caffe: BGR in 0..255, with ImageNet's mean subtracted. Used by Simonyan & Zisserman's own networks,
and by Gatys's file of their VGG-19 (https://github.com/leongatys/PytorchNeuralStyleTransfer).
"""

WeightsFile = Path | BinaryIO
"""A file that torch.save wrote."""

IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]

# https://gist.github.com/ksimonyan/211839e770f7b538e2d8, the description of their networks.
_CAFFE_MEAN_BGR = [103.939, 116.779, 123.68]
PUBLISHED_WEIGHTS: dict[str, torchvision.models.WeightsEnum] = {
    "vgg16": torchvision.models.VGG16_Weights.IMAGENET1K_V1,
    "vgg19": torchvision.models.VGG19_Weights.IMAGENET1K_V1,
}
SECONDS_TO_ANSWER = 10.0


class WeightsUnavailableError(Exception):
    """The weights of a loss network cannot be found or downloaded, or do not fit."""


def find_vgg_weights(name: VggName) -> Path:
    """Return torchvision's file in torch.hub's cache, downloaded if it is not there.

    The hash of a download is checked. A file in the cache is used as it is: users may have placed
    other weights there under torchvision's name.

    Raises:
        WeightsUnavailableError: the file is not in the cache and cannot be downloaded.
    """
    url = PUBLISHED_WEIGHTS[name].url
    file = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if file.exists():
        return file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # torch.hub would wait for minutes behind a firewall that drops packets.
        urlopen(Request(url, method="HEAD"), timeout=SECONDS_TO_ANSWER).close()
        print(f"Downloading {url} to {file.parent}", file=sys.stderr)
        torch.hub.download_url_to_file(url, str(file), hash_prefix=file.stem.rpartition("-")[2])
    except Exception as error:  # The network, the disk and the hash raise different errors.
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

    Caffe's input is a linear function of torchvision's, so the first convolution can be converted.
    There is a difference only at the border: the zeros of the padding mean the mean color, and the
    two mean colors differ by half of one of 255 levels.

    Args:
        name: VGG-16 or VGG-19.
        file: a file of torch.save with torchvision's keys (`features.0.weight`) or the keys of
            Gatys's file (`conv1_1.weight`). It may contain more than the convolutions.
        convention: the input that the weights in the file expect.

    Returns:
        By torchvision's key, the convolutions in the file in float32, at least the first.

    Raises:
        WeightsUnavailableError: the file cannot be read, or contains other weights.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise WeightsUnavailableError(
            f"The weights of {name} cannot be read from {_name_of(file)}: {_cause(error)}."
        ) from error
    except Exception as error:  # torch.load raises almost any error for damaged files.
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
    """Return the error for a file with the weights of another network."""
    return WeightsUnavailableError(
        f"The weights in {_name_of(file)} are not those of {name}: {why}."
    )


def empty_features(name: VggName) -> nn.Sequential:
    """Return torchvision's `features` of a VGG on the meta device, without memory for weights."""
    with torch.device("meta"):
        features: nn.Sequential = getattr(torchvision.models, name)(weights=None).features
    return features


def layer_names(features: nn.Sequential) -> list[str]:
    """Return the name that each module of torchvision's VGG has in the literature."""
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
    """Return the convolutions in the content of a file, by torchvision's keys, in float32."""
    features = empty_features(name)
    shapes = {f"features.{key}": values.shape for key, values in features.state_dict().items()}
    torchvision_key = {
        f"{layer}.{kind}": f"features.{index}.{kind}"
        for index, layer in enumerate(layer_names(features))
        for kind in ("weight", "bias")
    }
    weights = {}
    for file_key, values in content.items() if isinstance(content, Mapping) else ():
        if not str(file_key).startswith(("features.", "conv")):
            continue
        key = torchvision_key.get(file_key, file_key)
        if key not in shapes:
            raise unfit(name, file, f"it has no {file_key}")
        if not isinstance(values, Tensor) or values.shape != shapes[key]:
            raise unfit(name, file, f"{file_key} is not a tensor of shape {tuple(shapes[key])}")
        if not values.is_floating_point():
            raise unfit(name, file, f"{file_key} does not hold floating-point numbers")
        weights[key] = values.float()
    for key in ("features.0.weight", "features.0.bias"):
        if key not in weights:
            raise unfit(name, file, f"{key} is missing")
    return weights


def _from_caffe(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Convert the first convolution from Caffe's input to torchvision's.

    With a color c in [0, 1], torchvision's input is t = (c - mean) / std, and Caffe's, its
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
    """Return the part of an error's message that says what went wrong."""
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason)
