"""Finds and reads paintings and the weights of loss networks, by path or URI."""

import hashlib
import io
from collections.abc import Mapping
from typing import BinaryIO, NamedTuple

from torch import Tensor

from stylebeam.pipeline import storage
from stylebeam.pipeline.methods.contract import MethodError
from stylebeam.transforms.gatys.settings import OptimizationSettings
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.formats import ImageError
from stylebeam.transforms.losses.distilled_vgg import SHIPPED_WEIGHTS
from stylebeam.transforms.losses.loss_network import LossNetworkName
from stylebeam.transforms.losses.vgg import load_vgg
from stylebeam.transforms.losses.vgg_weights import WeightsUnavailableError, find_vgg_weights

_MOST_WEIGHT_BYTES = 2 * 2**30  # VGG-19's have 0.6 GB.


class KnownFile(NamedTuple):
    """A file, known by its contents.

    Attributes:
        location: its path or URI.
        digest: the SHA-256 of its contents, in hexadecimal.
    """

    location: str
    digest: str


def find_paintings(parts: Mapping[str, float]) -> tuple[tuple[KnownFile, float], ...]:
    """Return paintings and their parts in the style, with the sum 1.

    Args:
        parts: a part of at least 0 for each path or URI, not all of them 0.

    Raises:
        MethodError: a painting cannot be read or decoded.
    """
    total = sum(parts.values())
    if not total:
        raise MethodError("style_image needs a part above 0, as in {one.jpg: 0.5, other.jpg: 0.5}")
    return tuple(
        (_known_painting(location), part / total)
        for location, part in sorted(parts.items())
        if part
    )


def find_loss_networks(
    settings: OptimizationSettings, weights: str | None
) -> tuple[tuple[LossNetworkName, KnownFile], ...]:
    """Return the loss networks of an optimization, each with the file of its weights.

    Args:
        settings: names the networks and the layers.
        weights: the path or URI of VGG's weights; None for torch.hub's, downloaded if necessary.

    Raises:
        WeightsUnavailableError: the weights cannot be found or downloaded, or do not fit.
    """
    layers = {**settings.content_layers, **settings.style_layers}
    files: list[tuple[LossNetworkName, KnownFile]] = []
    for name in settings.networks:
        if name == "embedded":
            location = str(SHIPPED_WEIGHTS)
        else:
            location = weights or str(find_vgg_weights(name))
        try:
            data = storage.read(location, _MOST_WEIGHT_BYTES)
        except storage.StorageError as error:
            raise WeightsUnavailableError(f"weights: {error}") from error
        if name != "embedded":
            # What does not fit is found here rather than on a worker in the middle of a run.
            load_vgg(name, layers, _named_stream(data, location), settings.weights_convention)
        files.append((name, KnownFile(location, _digest(data))))
    return tuple(files)


def read_painting(file: KnownFile) -> Tensor:
    """Return a painting, RGB of shape (3, H, W), uint8 or uint16.

    Raises:
        MethodError: it cannot be read or decoded, or has other contents now.
    """
    return _decoded(_read_unchanged(file), file.location)


def read_loss_network(file: KnownFile) -> BinaryIO:
    """Return a stream of the weights of a loss network.

    Raises:
        MethodError: the file cannot be read, or has other contents now.
    """
    return _named_stream(_read_unchanged(file), file.location)


def _known_painting(location: str) -> KnownFile:
    try:
        data = storage.read(location)
    except storage.StorageError as error:
        raise MethodError(str(error)) from error
    # What cannot be decoded is found here rather than on a worker in the middle of a run.
    _decoded(data, location)
    return KnownFile(location, _digest(data))


def _decoded(data: bytes, location: str) -> Tensor:
    try:
        return decode(data).pixels
    except ImageError as error:
        raise MethodError(f"{location}: {error}") from error


def _read_unchanged(file: KnownFile) -> bytes:
    try:
        data = storage.read(file.location, _MOST_WEIGHT_BYTES)
    except storage.StorageError as error:
        raise MethodError(str(error)) from error
    if _digest(data) != file.digest:
        raise MethodError(
            f"{file.location} is not the file that the run was started with: here it has other"
            " contents. Start the run again."
        )
    return data


def _named_stream(data: bytes, location: str) -> BinaryIO:
    """Return a stream with the file's location as its name, for error messages."""
    stream = io.BytesIO(data)
    stream.name = location
    return stream


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
