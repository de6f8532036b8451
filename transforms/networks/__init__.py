"""Image transformation networks: an RGB image in, an RGB image of the same size out.

A checkpoint names its network and the arguments that built it; `build_network` makes it again.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from transforms.networks.johnson import JohnsonNetwork, Upsampling

MIN_SIDE = 16
"""The shortest side, in pixels, that the reflection padding of every network here accepts."""


def _johnson(upsampling: Upsampling = "nearest") -> nn.Module:
    return JohnsonNetwork(upsampling)


def _depsep(channel_multiplier: int = 4) -> nn.Module:
    return JohnsonNetwork("transposed", channel_multiplier)


def _depsep_nn(channel_multiplier: int = 4) -> nn.Module:
    return JohnsonNetwork("nearest", channel_multiplier)


def _depsep_nn_bil(channel_multiplier: int = 4) -> nn.Module:
    return JohnsonNetwork("nearest_and_bilinear", channel_multiplier)


_NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "johnson": _johnson,
    "depsep": _depsep,
    "depsep_nn": _depsep_nn,
    "depsep_nn_bil": _depsep_nn_bil,
}
NETWORK_NAMES = tuple(_NETWORKS)


def build_network(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return the network of that name, with random weights.

    johnson takes `upsampling`: nearest (the default) or transposed. depsep, depsep_nn and
    depsep_nn_bil (Pandey et al. 2018) take `channel_multiplier`: 4 by default.

    Args:
        name: one of NETWORK_NAMES.
        arguments: what its constructor takes.

    Raises:
        ValueError: the name or an argument is unknown.
    """
    if name not in _NETWORKS:
        raise ValueError(f"There is no network {name!r}; there is {', '.join(_NETWORKS)}.")
    try:
        return _NETWORKS[name](**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The network {name!r} cannot be built: {error}.") from error
