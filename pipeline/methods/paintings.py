"""Finds the paintings and the loss network's weights that an optimisation asks for."""

import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from stylebeam.pipeline import storage
from stylebeam.pipeline.methods.styles import Choice, StyleError
from stylebeam.transforms.gatys.engine import OptimizationEngine, Stylize
from stylebeam.transforms.gatys.settings import OptimizationSettings
from stylebeam.transforms.images.io import ImageError, decode
from stylebeam.transforms.losses.distilled_vgg import SHIPPED_WEIGHTS
from stylebeam.transforms.losses.loss_network import LossNetworkName
from stylebeam.transforms.losses.vgg import load_vgg
from stylebeam.transforms.losses.vgg_weights import (
    WeightsFile,
    WeightsUnavailableError,
    find_vgg_weights,
)


class KnownFile(NamedTuple):
    """A file, known by its contents.

    Attributes:
        location: its path or URI.
        digest: the SHA-256 of its contents, in hexadecimal.
    """

    location: str
    digest: str


class GatysChoice(NamedTuple):
    """What photos are optimised towards, and how.

    Attributes:
        recipe: how.
        paintings: files, and their parts in the style, of the sum 1.
        loss_networks: the networks that judge, and the files of their weights.
        fast: the fast network that the optimisation begins with, if it does.
        batch_size: how many photos of one size are optimised at once.
    """

    recipe: OptimizationSettings
    paintings: tuple[tuple[KnownFile, float], ...]
    loss_networks: tuple[tuple[LossNetworkName, KnownFile], ...]
    fast: Choice | None
    batch_size: int

    @property
    def short_side(self) -> int | None:
        """The short side in pixels at which larger photos are worked on; None for their own."""
        return self.recipe.size

    def worked_on_at(self, short_side: int) -> "GatysChoice":
        """Return this choice with another short side, in pixels."""
        return self._replace(recipe=self.recipe.model_copy(update={"size": short_side}))

    def shortened(self, evaluations: int) -> "GatysChoice":
        """Return this choice with no more evaluations of a loss at a level than so many."""
        recipe = self.recipe
        counts = {
            "iterations": min(evaluations, recipe.iterations),
            "finish_iterations": min(evaluations, recipe.finish_iterations),
        }
        return self._replace(recipe=recipe.model_copy(update=counts))

    @property
    def identity(self) -> dict[str, Any]:
        """What decides pixels, as plain values: neither where files lie nor the batch size."""
        return {
            "gatys": self.recipe.identity(),
            "paintings": [(file.digest, part) for file, part in self.paintings],
            "loss_networks": [(name, file.digest) for name, file in self.loss_networks],
            "fast": self.fast and self.fast.identity,
        }

    @property
    def weights(self) -> str:
        """A stable name of all that is loaded for it."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()


def choose_paintings(parts: Mapping[str, float]) -> tuple[tuple[KnownFile, float], ...]:
    """Return paintings and their parts in the style.

    Args:
        parts: by path or URI, from 0 up, not all of them 0.

    Raises:
        StyleError: there is no such image, or it cannot be read.
    """
    total = sum(parts.values())
    if not total:
        raise StyleError("style_image needs a part above 0, as in {one.jpg: 0.5, other.jpg: 0.5}")
    return tuple(
        (_known_painting(location), part / total)
        for location, part in sorted(parts.items())
        if part
    )


def choose_loss_networks(
    recipe: OptimizationSettings, weights: str | None
) -> tuple[tuple[LossNetworkName, KnownFile], ...]:
    """Return the networks that judge, with the files of their weights.

    Args:
        recipe: names the networks.
        weights: the path or URI of VGG's; None for torch.hub's, which are downloaded if need be.

    Raises:
        WeightsUnavailableError: the weights are neither here nor to be downloaded, or unfit.
    """
    layers = {**recipe.content_layers, **recipe.style_layers}
    files: list[tuple[LossNetworkName, KnownFile]] = []
    for name in recipe.networks:
        if name == "embedded":
            location = str(SHIPPED_WEIGHTS)
        else:
            location = weights or str(find_vgg_weights(name))
        try:
            data = storage.read(location)
        except storage.StorageError as error:
            raise WeightsUnavailableError(f"weights: {error}") from error
        if name != "embedded":
            # As with paintings: what is unfit is found here.
            load_vgg(name, layers, _named_stream(data, location), recipe.weights_convention)
        files.append((name, KnownFile(location, _digest(data))))
    return tuple(files)


def load_gatys_stylizer(
    choice: GatysChoice, device: torch.device, fast: Stylize | None
) -> OptimizationEngine:
    """Return what optimises photos as was chosen.

    Args:
        choice: the paintings, the networks and the recipe.
        device: where to compute.
        fast: makes what the optimisation begins with, if the choice has a fast network.

    Raises:
        StyleError: a file is not what it was when it was chosen, or cannot be read.
        WeightsUnavailableError: it does not hold the loss network's weights.
    """
    paintings = [
        (_decoded(_unchanged(file), file.location), part) for file, part in choice.paintings
    ]
    weights: dict[str, WeightsFile] = {
        name: _named_stream(_unchanged(file), file.location)
        for name, file in choice.loss_networks
        if name != "embedded"
    }
    return OptimizationEngine(choice.recipe, paintings, device, weights=weights, fast=fast)


def _known_painting(location: str) -> KnownFile:
    try:
        data = storage.read(location)
    except storage.StorageError as error:
        raise StyleError(str(error)) from error
    # What cannot be decoded is found here, rather than on a worker in the midst of a run.
    _decoded(data, location)
    return KnownFile(location, _digest(data))


def _decoded(data: bytes, location: str) -> Tensor:
    try:
        return decode(data).pixels
    except ImageError as error:
        raise StyleError(f"{location}: {error}") from error


def _unchanged(file: KnownFile) -> bytes:
    try:
        data = storage.read(file.location)
    except storage.StorageError as error:
        raise StyleError(str(error)) from error
    if _digest(data) != file.digest:
        raise StyleError(
            f"{file.location} is not the file that the run was started with: here it has other"
            " contents. Start the run anew."
        )
    return data


def _named_stream(data: bytes, location: str) -> BinaryIO:
    """Return a stream that errors name by the file's location."""
    stream = io.BytesIO(data)
    stream.name = location
    return stream


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
