"""Checkpoints: safetensors files of networks. Reading one never unpickles anything.

The metadata of a file name the network, the arguments that it was built with, its styles, and the
config of each style's training or, for a network without styles, of its own. The tensors are the
network's parameters, each named `network.NAME`, and each style's vector, named `style.NAME`.

The loss network that is shipped was written before it had this format: its metadata have `about`,
how it was trained, and its tensors are the parameters without a prefix. Its digest is part of the
recipes of archives, so the file stays as it is, and `parse_checkpoint` reads both.
"""

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from stylebeam.files import write_whole
from stylebeam.transforms.networks import (
    NETWORK_NAMES,
    STYLE_NETWORK_NAMES,
    build_network,
    style_size,
)

DISTILLED_VGG = "distilled_vgg"
"""The name that a checkpoint of the distilled VGG (`losses.distilled_vgg`) has as its network."""

MOST_BYTES = 2**30
"""The largest checkpoint that is read; those that are shipped have a few megabytes."""

_FORMAT = "stylebeam-2"
_FORMAT_OF_LOSS_NETWORK = "stylebeam-loss-network-2"
_NETWORK = "network."
_STYLE = "style."
_SHIPPED = Path(__file__).parent / "weights"


class CheckpointError(Exception):
    """A file that is not a checkpoint of stylebeam, or a damaged one; the message says why."""


@dataclass(frozen=True)
class Style:
    """A style of a network.

    Attributes:
        vector: of length `networks.style_size`; empty for a network of a single style.
        training: how it was trained, as plain values. (`styles` in the file's metadata.)
    """

    vector: Tensor = field(default_factory=lambda: torch.zeros(0))
    training: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint file.

    Attributes:
        network: the name of the network, one that `networks.build_network` knows, DISTILLED_VGG, or
            `prediction.predictor.STYLE_PREDICTOR`.
        tensors: the network's state dict.
        styles: by name. The networks multi_style and any_style have any number, other style
            networks one, and networks that are no style networks none.
        arguments: the keyword arguments that the network was built with.
        training: how a network without styles was trained, as plain values. (`recipe` in the file's
            metadata.)
    """

    network: str
    tensors: dict[str, Tensor]
    styles: dict[str, Style]
    arguments: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """Return the image transformation network, in float32 and evaluation mode, frozen.

        Raises:
            CheckpointError: the network is unknown, or the tensors or a style do not fit it.
        """
        try:
            # On the meta device: arguments in a file could ask for any amount of memory, and the
            # tensors are in memory already.
            with torch.device("meta"):
                network = build_network(self.network, self.arguments)
        except (ValueError, RuntimeError) as error:
            raise CheckpointError(f"The checkpoint cannot be used: {error}") from error
        expected = network.state_dict()
        if mistake := misfit(self.tensors, expected):
            raise CheckpointError(f"The checkpoint cannot be used: {mistake}.")
        tensors = {name: tensor.to(expected[name].dtype) for name, tensor in self.tensors.items()}
        network.load_state_dict(tensors, assign=True)
        network.eval().requires_grad_(False)
        if self.network not in STYLE_NETWORK_NAMES:
            return network
        size = style_size(network)
        if not all(style.vector.is_floating_point() for style in self.styles.values()):
            raise CheckpointError(
                "The checkpoint cannot be used: a style's vector is not of floating-point numbers."
            )
        if not self.styles or any(style.vector.shape != (size,) for style in self.styles.values()):
            raise CheckpointError(
                f"The checkpoint cannot be used: its network needs at least one style, and each"
                f" style must be a vector of {size} numbers."
            )
        return network


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint, its floating-point tensors as float16. The file is written atomically.

    Raises:
        OSError: the file cannot be written.
    """
    metadata = {
        "format": _FORMAT,
        "network": checkpoint.network,
        "arguments": json.dumps(checkpoint.arguments),
        "styles": json.dumps({name: style.training for name, style in checkpoint.styles.items()}),
    }
    if checkpoint.training:
        metadata["recipe"] = json.dumps(checkpoint.training)
    tensors = {_NETWORK + name: tensor for name, tensor in checkpoint.tensors.items()}
    tensors |= {_STYLE + name: style.vector for name, style in checkpoint.styles.items()}
    halved = {name: _halved(tensor.detach().cpu()).contiguous() for name, tensor in tensors.items()}
    write_whole(path, _with_sorted_metadata(safetensors.torch.save(halved, metadata)))


def _with_sorted_metadata(file: bytes) -> bytes:
    """Return a safetensors file with its metadata sorted by key.

    The library writes them in another order in each process. Recipes know a checkpoint by its
    bytes, so the same style, written again, would be another one.
    """
    [length] = struct.unpack_from("<Q", file)
    header = json.loads(file[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    # The tensors after the header are aligned to 8 bytes.
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + file[8 + length :]


def _halved(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def read_checkpoint_file(path: Path) -> bytes:
    """Return the contents of a local checkpoint, whose size is checked before it is read.

    Raises:
        OSError: the file cannot be read.
        CheckpointError: it is larger than MOST_BYTES.
    """
    if path.is_file() and (size := path.stat().st_size) > MOST_BYTES:
        raise CheckpointError(
            f"The file has {size / 2**20:,.0f} MiB, and a checkpoint has at most"
            f" {MOST_BYTES // 2**20:,} MiB."
        )
    return path.read_bytes()


def parse_checkpoint(data: bytes) -> Checkpoint:
    """Return the checkpoint in the bytes of a file.

    Raises:
        CheckpointError: the bytes are not a checkpoint of stylebeam.
    """
    try:
        tensors = safetensors.torch.load(data)
    except (
        safetensors.SafetensorError,
        ValueError,
        KeyError,  # a type of numbers that torch does not have
        TypeError,
        AttributeError,
        RuntimeError,
    ) as error:
        raise CheckpointError(
            "The file is not a whole safetensors checkpoint: it is damaged, cut off, or a file of"
            " another kind."
        ) from error
    try:
        # The layout of a file: the length of the header as 8 little-endian bytes, the header in
        # JSON, the tensors.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        metadata = header.get("__metadata__", {})
        if metadata.get("format") == _FORMAT_OF_LOSS_NETWORK:
            training = dict(json.loads(metadata["about"]))
            return Checkpoint(DISTILLED_VGG, tensors, {}, training=training)
        if metadata.get("format") == _FORMAT:
            return _checkpoint(metadata, tensors)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,  # JSON that is nested too deeply
    ) as error:
        raise CheckpointError(
            "The file is not a whole safetensors checkpoint: its metadata are damaged, or its"
            " tensors are not those that its metadata name."
        ) from error
    raise CheckpointError(
        f"The file is not a checkpoint of stylebeam: its metadata have no format: {_FORMAT}."
    )


def _checkpoint(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Checkpoint:
    styles = {_STYLE + name for name in json.loads(metadata["styles"])}
    surplus = [each for each in tensors if not each.startswith(_NETWORK) and each not in styles]
    if surplus:
        raise CheckpointError(
            f"The checkpoint cannot be used: {_listed(surplus)} in it belong to no network and no"
            " style."
        )
    return Checkpoint(
        network=metadata["network"],
        tensors={
            name.removeprefix(_NETWORK): tensor
            for name, tensor in tensors.items()
            if name.startswith(_NETWORK)
        },
        styles={
            name: Style(tensors[_STYLE + name], dict(training))
            for name, training in json.loads(metadata["styles"]).items()
        },
        arguments=dict(json.loads(metadata["arguments"])),
        training=dict(json.loads(metadata.get("recipe", "{}"))),
    )


def misfit(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str | None:
    """Say why tensors are not those of a network; None if they are.

    Args:
        tensors: by name; floating-point numbers may be of any precision.
        expected: the network's state dict.
    """
    if missing := [name for name in expected if name not in tensors]:
        return f"its network needs {_listed(missing)}"
    if surplus := [name for name in tensors if name not in expected]:
        return f"its network has no {_listed(surplus)}"
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            return (
                f"{name} has the shape {list(tensor.shape)}, and its network needs"
                f" {list(expected[name].shape)}"
            )
        # Integers, complex numbers and truth values would be converted, and lose what they mean.
        if _kind(tensor) != _kind(expected[name]):
            return f"{name} holds {_kind(tensor)} numbers, not {_kind(expected[name])} ones"
    return None


def _kind(tensor: Tensor) -> str:
    """Return the kind of a tensor's numbers; floating-point numbers are one kind."""
    if tensor.is_floating_point():
        return "floating-point"
    return str(tensor.dtype).removeprefix("torch.")


def _listed(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def weights_digest(data: bytes) -> str:
    """Return the SHA-256 of a checkpoint file in hexadecimal; recipes name the weights by it."""
    return hashlib.sha256(data).hexdigest()


@cache
def shipped_checkpoints() -> dict[Path, tuple[str, ...]]:
    """Return the image transformation networks that are shipped, and the names of their styles."""
    checkpoints = {
        path: parse_checkpoint(path.read_bytes()) for path in sorted(_SHIPPED.glob("*.safetensors"))
    }
    return {
        path: tuple(checkpoint.styles)
        for path, checkpoint in checkpoints.items()
        if checkpoint.network in NETWORK_NAMES
    }
