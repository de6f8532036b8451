"""Checkpoints of style networks: safetensors files that say what they hold. Nothing is unpickled.

The file's metadata name the network, the arguments that built it, the style and the training
recipe; the tensors are the network's parameters.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from transforms.files import write_whole
from transforms.networks import build_network

_FORMAT = "stylebeam-1"
_SHIPPED = Path(__file__).parent / "weights"


class CheckpointError(Exception):
    """A file that is not a checkpoint of stylebeam, or a damaged one; the message says why."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        network: the network's name, one of `transforms.networks.NETWORK_NAMES`.
        style: the style's name.
        tensors: the network's state dict.
        arguments: what the network was built with.
        recipe: how it was trained, as plain values.
    """

    network: str
    style: str
    tensors: dict[str, Tensor]
    arguments: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """Return the network with its weights in float32, in evaluation mode, frozen.

        Raises:
            CheckpointError: the network is unknown or the tensors do not fit it.
        """
        try:
            network = build_network(self.network, self.arguments)
            network.load_state_dict({name: tensor.float() for name, tensor in self.tensors.items()})
        except (ValueError, RuntimeError) as error:
            raise CheckpointError(f"The checkpoint cannot be used: {error}") from error
        return network.eval().requires_grad_(False)


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint, its tensors as float16, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    metadata = {
        "format": _FORMAT,
        "network": checkpoint.network,
        "arguments": json.dumps(checkpoint.arguments),
        "style": checkpoint.style,
        "recipe": json.dumps(checkpoint.recipe),
    }
    tensors = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in checkpoint.tensors.items()
    }
    write_whole(path, safetensors.torch.save(tensors, metadata))


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
            arguments=dict(json.loads(metadata["arguments"])),
            style=metadata["style"],
            recipe=dict(json.loads(metadata["recipe"])),
            tensors=tensors,
        )
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"The file is not a whole safetensors checkpoint: {error}") from error


def weights_digest(data: bytes) -> str:
    """Return the SHA-256 of a checkpoint file, in hexadecimal: the name of its weights."""
    return hashlib.sha256(data).hexdigest()


def shipped_styles() -> dict[str, Path]:
    """Return the checkpoint files that come with the package, by style name, in order."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.safetensors"))}
