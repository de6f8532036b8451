"""Beam's ModelHandler for style networks: loads each once per worker, isolates failures."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler
from torch import Tensor

from pipeline.records import Outcome, Recipe, Task
from pipeline.styles import StyleError, read_checkpoint
from transforms.devices import DeviceName, choose_device
from transforms.feed_forward import FeedForwardStylizer
from transforms.image_io import DEFAULT_MAX_PIXELS, Photo
from transforms.memory import keep_few_kernels, return_large_blocks
from transforms.precision import NonFiniteError
from transforms.super_resolution import SuperResolver

METRICS_NAMESPACE = "stylebeam"
NETWORKS_LOADED = "networks_loaded"

_NETWORKS_KEPT = 8


class StylizationError(Exception):
    """An image that cannot be stylised; the message says why."""


Effect = Callable[[Tensor, Recipe], Tensor]
"""What a method does: takes RGB, uint8 of shape (3, H, W), and returns it stylised or enlarged."""


@dataclass(frozen=True)
class LoadedPhoto:
    """A task with its decoded photo, before or after stylisation.

    Attributes:
        task: what is to be done.
        photo: the pixels.
        seconds: time spent on this image so far.
    """

    task: Task
    photo: Photo
    seconds: float


class StylizerPool:
    """The networks that a worker process holds, the least recently used out first.

    They are keyed by their weights, so that batches which share a style share its network. One
    image is stylised at a time: a network uses all cores by itself, and two that compete for them
    take many times as long, while the other threads of the worker read and write.
    """

    def __init__(self, device: DeviceName, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        """Make an empty pool.

        Args:
            device: where to compute.
            max_pixels: images that would be enlarged to more pixels are refused.

        Raises:
            DeviceUnavailableError: the device is not on this worker.
        """
        self._device = choose_device(device)
        self._max_pixels = max_pixels
        self._effects: OrderedDict[str, Effect] = OrderedDict()
        self._lock = threading.Lock()

    def stylize(self, pixels: Tensor, recipe: Recipe) -> Tensor:
        """Return what the recipe makes of the image; its network is loaded if it is not here yet.

        Args:
            pixels: RGB, uint8 of shape (3, H, W).
            recipe: names the network and its options.

        Returns:
            RGB, uint8 of the same shape or, enlarged, of a larger one.

        Raises:
            StylizationError: this image cannot be stylised.
            StyleError: the style's checkpoint cannot be read or used.
        """
        with self._lock:
            effect = self._get(recipe)
            try:
                return effect(pixels, recipe)
            except (NonFiniteError, RuntimeError, MemoryError) as error:
                # torch reports a lack of memory, among much else, as a RuntimeError.
                raise StylizationError(f"The image could not be stylised: {error}") from error

    def _get(self, recipe: Recipe) -> Effect:
        if recipe.weights not in self._effects:
            self._effects[recipe.weights] = self._load(recipe)
            Metrics.counter(METRICS_NAMESPACE, NETWORKS_LOADED).inc()
        self._effects.move_to_end(recipe.weights)
        while len(self._effects) > _NETWORKS_KEPT:
            self._effects.popitem(last=False)
        return self._effects[recipe.weights]

    def _load(self, recipe: Recipe) -> Effect:
        checkpoint, weights = read_checkpoint(recipe.checkpoint)
        if weights != recipe.weights:
            raise StyleError(
                f"{recipe.checkpoint} is not the checkpoint that the run was started with: here the"
                " file has other contents. Start the run anew."
            )
        if recipe.method == "super_resolution":
            return self._enlarging(SuperResolver(checkpoint, self._device))
        stylizer = FeedForwardStylizer(checkpoint, self._device)
        return lambda pixels, of: stylizer.stylize(pixels, of.strength, dict(of.styles))

    def _enlarging(self, resolver: SuperResolver) -> Effect:
        def enlarge(pixels: Tensor, _: Recipe) -> Tensor:
            enlarged = resolver.factor**2 * pixels[0].numel()
            if enlarged > self._max_pixels:
                raise StylizationError(
                    f"The enlarged image would have {enlarged} pixels, more than max_pixels"
                    f" ({self._max_pixels})."
                )
            return resolver.enlarge(pixels)

        return enlarge


class StylizeModelHandler(ModelHandler[LoadedPhoto, "LoadedPhoto | Outcome", StylizerPool]):
    """Stylises photos; one that fails becomes its `failed` outcome and takes no other with it."""

    def __init__(
        self,
        device: DeviceName = "auto",
        threads: int | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        """Make the handler.

        Args:
            device: where to compute.
            threads: for torch to use in each worker process; by default its own choice.
            max_pixels: images that would be enlarged to more pixels fail.
        """
        # Images are stylised one at a time; a larger batch would only hold back finished ones.
        super().__init__(min_batch_size=1, max_batch_size=1)
        self._device = device
        self._threads = threads
        self._max_pixels = max_pixels

    def load_model(self) -> StylizerPool:
        """Return an empty pool; networks are loaded when a photo asks for them."""
        return_large_blocks()
        keep_few_kernels()
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        return StylizerPool(self._device, self._max_pixels)

    def run_inference(
        self,
        batch: Sequence[LoadedPhoto],
        model: StylizerPool,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[LoadedPhoto | Outcome]:
        """Return for each photo its stylised version or its `failed` outcome."""
        return list(self._stylize(batch, model))

    def get_num_bytes(self, batch: Sequence[LoadedPhoto]) -> int:
        """Return the size of the pixels. (Beam's own counts by pickling them.)"""
        return sum(loaded.photo.pixels.nbytes for loaded in batch)

    def get_metrics_namespace(self) -> str:
        """Return the namespace of the metrics of Beam's RunInference."""
        return METRICS_NAMESPACE

    def _stylize(
        self, batch: Sequence[LoadedPhoto], pool: StylizerPool
    ) -> Iterator[LoadedPhoto | Outcome]:
        for loaded in batch:
            started = time.monotonic()
            try:
                pixels = pool.stylize(loaded.photo.pixels, loaded.task.recipe)
            except StylizationError as error:
                seconds = loaded.seconds + time.monotonic() - started
                yield loaded.task.outcome("failed", seconds, loaded.photo.size, str(error))
            else:
                seconds = loaded.seconds + time.monotonic() - started
                yield replace(loaded, photo=loaded.photo.with_pixels(pixels), seconds=seconds)
