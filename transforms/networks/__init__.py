"""Image transformation networks, which map RGB images to RGB images.

A checkpoint names its network and the arguments of its constructor; `build_network` builds it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from stylebeam.transforms.networks.any_style import AnyStyleNetwork
from stylebeam.transforms.networks.johnson import JohnsonNetwork
from stylebeam.transforms.networks.layers import Upsampling
from stylebeam.transforms.networks.multi_style import MultiStyleNetwork
from stylebeam.transforms.networks.style_network import StyleNetwork
from stylebeam.transforms.networks.super_resolution import SuperResolutionNetwork

MIN_SIDE = 17
"""The shortest side of an image, in pixels, that the reflection padding of all networks accepts."""


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
    "multi_style": MultiStyleNetwork,
    "any_style": AnyStyleNetwork,
    "super_resolution": SuperResolutionNetwork,
}
NETWORK_NAMES = tuple(_NETWORKS)
"""The image transformation networks."""
STYLE_NETWORK_NAMES = tuple(name for name in NETWORK_NAMES if name != "super_resolution")
"""The networks whose output has the size of their input."""
MANY_STYLES = ("multi_style", "any_style")
"""The style networks that have any number of styles, each a vector."""


def build_network(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return the network of that name, with random weights.

    The arguments are, with their defaults:

    - johnson: `upsampling` (nearest; or transposed, nearest_and_bilinear)
    - depsep, depsep_nn, depsep_nn_bil (Pandey et al. 2018): `channel_multiplier` (4)
    - multi_style: `channels` (64) and `blocks` (5)
    - any_style: `channels` (64)
    - super_resolution: `factor` (4) and `upsampling` (transposed)

    Args:
        name: one of STYLE_NETWORK_NAMES, or super_resolution.
        arguments: keyword arguments of the network.

    Raises:
        ValueError: the name or an argument is unknown.
    """
    if name not in _NETWORKS:
        raise ValueError(f"There is no network {name!r}; there is {', '.join(_NETWORKS)}.")
    try:
        return _NETWORKS[name](**arguments)
    except TypeError as error:
        given = ", ".join(map(str, arguments)) or "none"
        raise ValueError(
            f"The network {name!r} cannot be built: its arguments ({given}) are not those that it"
            " has, or a value is of another type."
        ) from error
    except ValueError as error:
        raise ValueError(f"The network {name!r} cannot be built: {error}.") from error


def style_size(network: nn.Module) -> int:
    """Return the length of a style's vector: 0 for a network of a single style."""
    return network.style_size if isinstance(network, StyleNetwork) else 0
