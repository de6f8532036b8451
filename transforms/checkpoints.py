"""Checkpoints of networks: safetensors files that say what they hold. Nothing is unpickled.

The file's metadata name the network, the arguments that built it, and the training recipe of each
style or, of a network without styles, its own; the tensors are the network's parameters and each
style's vector.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from stylebeam.files import write_whole
from stylebeam.transforms.networks import STYLE_NETWORK_NAMES, build_network, style_size

_FORMAT = "stylebeam-2"
_NETWORK = "network."
_STYLE = "style."
_SHIPPED = Path(__file__).parent / "weights"


class CheckpointError(Exception):
    """A file that is not a checkpoint of stylebeam, or a damaged one; the message says why."""


@dataclass(frozen=True)
class Style:
    """A style of a network.

    Attributes:
        vector: of the length `networks.style_size`; empty, if the network is itself of one style.
        recipe: how it was trained, as plain values.
    """

    vector: Tensor = field(default_factory=lambda: torch.zeros(0))
    recipe: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        network: the network's name, as `stylebeam.transforms.networks.build_network` takes it.
        tensors: the network's state dict.
        styles: by name; for the network multi_style any number, for super_resolution none, and for
            every other one.
        arguments: what the network was built with.
        recipe: how a network without styles was trained, as plain values.
    """

    network: str
    tensors: dict[str, Tensor]
    styles: dict[str, Style]
    arguments: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """Return the network with its weights in float32, in evaluation mode, frozen.

        Raises:
            CheckpointError: the network is unknown, or the tensors or a style do not fit it.
        """
        try:
            # On no memory: a stranger's arguments may ask for any; the tensors are there already.
            with torch.device("meta"):
                network = build_network(self.network, self.arguments)
            types = {name: tensor.dtype for name, tensor in network.state_dict().items()}
            tensors = {
                name: tensor.to(types.get(name, tensor.dtype))
                for name, tensor in self.tensors.items()
            }
            network.load_state_dict(tensors, assign=True)
        except (ValueError, RuntimeError) as error:
            raise CheckpointError(f"The checkpoint cannot be used: {error}") from error
        network.eval().requires_grad_(False)
        if self.network not in STYLE_NETWORK_NAMES:
            return network
        size = style_size(network)
        if not self.styles or any(style.vector.shape != (size,) for style in self.styles.values()):
            raise CheckpointError(
                f"The checkpoint cannot be used: a style of its network is {size} numbers."
            )
        return network


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint, its real numbers as float16, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    metadata = {
        "format": _FORMAT,
        "network": checkpoint.network,
        "arguments": json.dumps(checkpoint.arguments),
        "styles": json.dumps({name: style.recipe for name, style in checkpoint.styles.items()}),
    }
    if checkpoint.recipe:
        metadata["recipe"] = json.dumps(checkpoint.recipe)
    tensors = {_NETWORK + name: tensor for name, tensor in checkpoint.tensors.items()}
    tensors |= {_STYLE + name: style.vector for name, style in checkpoint.styles.items()}
    halved = {name: _halved(tensor.detach().cpu()).contiguous() for name, tensor in tensors.items()}
    write_whole(path, safetensors.torch.save(halved, metadata))


def _halved(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def parse_checkpoint(data: bytes) -> Checkpoint:
    """Return the checkpoint in a file's bytes.

    Raises:
        CheckpointError: the bytes are not a checkpoint of stylebeam.
    """
    try:
        tensors = safetensors.torch.load(data)
        # The layout: 8 bytes of little-endian length, a JSON header of that length, the tensors.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        metadata = header.get("__metadata__", {})
        if metadata.get("format") != _FORMAT:
            raise CheckpointError(
                "The file is not a checkpoint of stylebeam: its metadata do not say"
                f" format: {_FORMAT}."
            )
        return Checkpoint(
            network=metadata["network"],
            tensors={
                name.removeprefix(_NETWORK): tensor
                for name, tensor in tensors.items()
                if name.startswith(_NETWORK)
            },
            styles={
                name: Style(tensors[_STYLE + name], dict(recipe))
                for name, recipe in json.loads(metadata["styles"]).items()
            },
            arguments=dict(json.loads(metadata["arguments"])),
            recipe=dict(json.loads(metadata.get("recipe", "{}"))),
        )
    except (
        safetensors.SafetensorError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,  # of JSON that is nested without end
    ) as error:
        raise CheckpointError(f"The file is not a whole safetensors checkpoint: {error}") from error


def weights_digest(data: bytes) -> str:
    """Return the SHA-256 of a checkpoint file, in hexadecimal: the name of its weights."""
    return hashlib.sha256(data).hexdigest()


@cache
def shipped_checkpoints() -> dict[Path, tuple[str, ...]]:
    """Return the checkpoint files that come with the package, and the names of their styles."""
    return {
        path: tuple(parse_checkpoint(path.read_bytes()).styles)
        for path in sorted(_SHIPPED.glob("*.safetensors"))
    }
