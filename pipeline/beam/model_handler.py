"""Beam's ModelHandler for style networks: loads each once per worker, isolates failures."""

import contextlib
import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler
from torch import Tensor

from stylebeam.pipeline.archive.records import Outcome, Recipe, Task
from stylebeam.pipeline.methods.paintings import GatysChoice, load_gatys_stylizer
from stylebeam.pipeline.methods.styles import Choice, StyleError, read_checkpoint
from stylebeam.pipeline.runs.stopping import leave_interrupts_to
from stylebeam.transforms.backends import images_at_once, is_computed_by_openvino
from stylebeam.transforms.backends.computation import Workload
from stylebeam.transforms.checkpoints import Checkpoint
from stylebeam.transforms.gatys.engine import OptimizationEngine, Stylize
from stylebeam.transforms.hardware.devices import DeviceName, choose_device, device_memory
from stylebeam.transforms.hardware.memory import (
    keep_blocks_of_images,
    keep_few_kernels,
    return_large_blocks,
)
from stylebeam.transforms.hardware.precision import NonFiniteError
from stylebeam.transforms.images.io import DEFAULT_MAX_PIXELS, Photo
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer
from stylebeam.transforms.inference.super_resolution import SuperResolver

METRICS_NAMESPACE = "stylebeam"
NETWORKS_LOADED = "networks_loaded"

_NETWORKS_KEPT = 8


class StylizationError(Exception):
    """An image that cannot be stylised; the message says why."""


Apply = Callable[[Sequence[Tensor], Recipe], list[Tensor]]
"""What a method does: takes images of one size, RGB, uint8 of shape (3, H, W), and returns them
stylised or enlarged."""


class Effect(NamedTuple):
    """A method with its network.

    Attributes:
        apply: what it does.
        places: returns how many of the pool's places that takes for such images.
    """

    apply: Apply
    places: Callable[[Sequence[Tensor]], int]


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


class _Places:
    """Room for several images at once: a CPU's cores, with as many of which torch computes."""

    def __init__(self, device: torch.device) -> None:
        self._threads = torch.get_num_threads()
        self.count = self._threads if device.type == "cpu" else images_at_once(device)
        self._places = threading.Semaphore(self.count)
        self._taking = threading.Lock()

    @contextlib.contextmanager
    def taken(self, count: int) -> Iterator[None]:
        """Wait for so many places, and leave them at the end."""
        # One at a time, or two that have taken some of them would wait for each other.
        with self._taking:
            for _ in range(count):
                self._places.acquire()
        try:
            # When a thread first asks for its number of threads, torch overwrites it with what any
            # thread has set last: so it asks before it sets its own.
            torch.get_num_threads()
            torch.set_num_threads(max(1, count * self._threads // self.count))
            yield
        finally:
            # New threads begin with the number that was set last.
            torch.set_num_threads(self._threads)
            self._places.release(count)


class StylizerPool:
    """The networks that a worker process holds, the least recently used out first.

    They are keyed by their weights, so that batches which share a style share its network. As many
    images are computed at once as is fastest, while other threads of the worker read and write.
    Optimisations have a core each, since cores that share an image wait for each other; one that
    needs more than a core's part of the memory has as much larger a part of the cores.
    """

    def __init__(
        self,
        device: DeviceName,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        memory: int | None = None,
        images: int = 1,
    ) -> None:
        """Make an empty pool.

        Args:
            device: where to compute.
            max_pixels: images that would be enlarged to more pixels are refused.
            memory: bytes that all photos which are computed at once may take; None for any number.
            images: how many there will be, about.

        Raises:
            DeviceUnavailableError: the device is not on this worker.
        """
        self._device = choose_device(device)
        self._max_pixels = max_pixels
        self._effects: OrderedDict[str, Effect] = OrderedDict()
        self._loading = threading.Lock()
        self._workload = Workload(images_at_once(self._device), images)
        self._memory = memory
        self._places = _Places(self._device)

    @property
    def optimisations_at_once(self) -> int:
        """How many photos are optimised at once, if they are not too large for that."""
        return self._places.count

    def load(self, recipe: Recipe) -> None:
        """Load a recipe's network if it is not here yet, as `stylize` does."""
        with self._loading:
            self._get(recipe)

    def stylize(self, photos: Sequence[Tensor], recipe: Recipe) -> list[Tensor]:
        """Return what the recipe makes of images; its network is loaded if it is not here yet.

        Args:
            photos: RGB, uint8, all of one shape (3, H, W).
            recipe: names the network and its options.

        Returns:
            RGB, uint8 of the same shape or, enlarged, of a larger one.

        Raises:
            StylizationError: one of these images cannot be stylised.
            StyleError: the style's checkpoint or a painting cannot be read or used.
            WeightsUnavailableError: the loss network's weights are not on this worker.
        """
        with self._loading:
            effect = self._get(recipe)
        with self._places.taken(effect.places(photos)):
            try:
                return effect.apply(photos, recipe)
            except (NonFiniteError, RuntimeError, MemoryError) as error:
                # torch reports a lack of memory, among much else, as a RuntimeError.
                torch.cuda.empty_cache()
                raise StylizationError(f"The image could not be stylised: {error}") from error

    def _get(self, recipe: Recipe) -> Effect:
        weights = recipe.choice.weights
        if weights not in self._effects:
            self._effects[weights] = self._load(recipe)
            Metrics.counter(METRICS_NAMESPACE, NETWORKS_LOADED).inc()
        self._effects.move_to_end(weights)
        while len(self._effects) > _NETWORKS_KEPT:
            self._effects.popitem(last=False)
        return self._effects[weights]

    def _load(self, recipe: Recipe) -> Effect:
        choice = recipe.choice
        if isinstance(choice, GatysChoice):
            fast = choice.fast and self._stylize_by(choice.fast)
            return self._optimizing(load_gatys_stylizer(choice, self._device, fast))
        if recipe.method == "super_resolution":
            checkpoint = _read_unchanged(choice)
            resolver = SuperResolver(checkpoint, self._device, workload=self._workload)
            return self._by_network(self._enlarging(resolver))
        return self._by_network(_stylizing(self._stylizer(choice)))

    def _by_network(self, apply: Apply) -> Effect:
        return Effect(apply, lambda _: self._places.count // self._workload.at_once)

    def _optimizing(self, stylizer: OptimizationEngine) -> Effect:
        def places(photos: Sequence[Tensor]) -> int:
            if self._memory is None:
                return 1
            height, width = photos[0].shape[1:]
            part = stylizer.memory_needed(width, height) / self._memory
            return min(self._places.count, math.ceil(part * self._places.count))

        return Effect(lambda photos, _: list(map(stylizer.transform, photos)), places)

    def _stylize_by(self, choice: Choice) -> Stylize:
        """Return what a fast network makes of an image by a choice of its styles."""
        return partial(_stylized, self._stylizer(choice), choice)

    def _stylizer(self, choice: Choice) -> FeedForwardStylizer:
        checkpoint = _read_unchanged(choice)
        memory = None if self._memory is None else self._memory // self._workload.at_once
        return FeedForwardStylizer(checkpoint, self._device, memory=memory, workload=self._workload)

    def _enlarging(self, resolver: SuperResolver) -> Apply:
        def enlarge(photos: Sequence[Tensor], _: Recipe) -> list[Tensor]:
            enlarged = resolver.factor**2 * photos[0][0].numel()
            if enlarged > self._max_pixels:
                raise StylizationError(
                    f"The enlarged image would have {enlarged} pixels, more than max_pixels"
                    f" ({self._max_pixels})."
                )
            return [resolver.enlarge(pixels) for pixels in photos]

        return enlarge


def _stylizing(stylizer: FeedForwardStylizer) -> Apply:
    """Return what stylises by whichever of the network's styles a recipe names."""

    def stylize(photos: Sequence[Tensor], recipe: Recipe) -> list[Tensor]:
        assert isinstance(recipe.choice, Choice), "the recipe's method is fast"
        return [_stylized(stylizer, recipe.choice, pixels) for pixels in photos]

    return stylize


def _stylized(stylizer: FeedForwardStylizer, choice: Choice, pixels: Tensor) -> Tensor:
    styles = dict(choice.styles)
    return stylizer.stylize(
        pixels, choice.strength, styles, choice.processing_size, choice.statistics
    )


def _read_unchanged(choice: Choice) -> Checkpoint:
    checkpoint, weights = read_checkpoint(choice.checkpoint)
    if weights != choice.weights:
        raise StyleError(
            f"{choice.checkpoint} is not the checkpoint that the run was started with: here the"
            " file has other contents. Start the run anew."
        )
    return checkpoint


class StylizeModelHandler(ModelHandler[LoadedPhoto, "LoadedPhoto | Outcome", StylizerPool]):
    """Stylises photos; one that fails becomes its `failed` outcome and takes no other with it."""

    def __init__(
        self,
        device: DeviceName = "auto",
        max_pixels: int = DEFAULT_MAX_PIXELS,
        batch_size: int = 1,
        memory: int | None = None,
        processes: int = 1,
        images: int = 1,
    ) -> None:
        """Make the handler.

        Args:
            device: where to compute.
            max_pixels: images that would be enlarged to more pixels fail.
            memory: bytes that photos may take in each worker process; by default this process's
                part of half of the machine's.
            processes: worker processes on each machine, which share its cores.
            batch_size: the largest of the recipes'. More than that would only hold back finished
                photos.
            images: of the run, so that workers know whether it is worth compiling networks.
        """
        super().__init__(min_batch_size=batch_size, max_batch_size=batch_size)
        self._made_in = os.getpid()
        self._device = device
        self._max_pixels = max_pixels
        self._memory = memory
        self._processes = processes
        self._images = images

    def load_model(self) -> StylizerPool:
        """Return an empty pool; networks are loaded when a photo asks for them."""
        leave_interrupts_to(self._made_in)
        keep_few_kernels()
        keep_blocks_of_images()
        device = choose_device(self._device)
        if not is_computed_by_openvino(device):
            return_large_blocks()
        if self._processes > 1:
            torch.set_num_threads(max(1, (os.cpu_count() or 1) // self._processes))
        memory = self._memory or device_memory(device) // 2 // self._processes
        return StylizerPool(self._device, self._max_pixels, memory, self._images)

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
        for group in _groups(batch):
            started = time.monotonic()
            task = group[0].task
            try:
                results = pool.stylize([loaded.photo.pixels for loaded in group], task.recipe)
            except StylizationError as error:
                if len(group) > 1:
                    # Perhaps they are but too many at once; at the latest, one fails alone.
                    half = len(group) // 2
                    yield from self._stylize(group[:half], pool)
                    yield from self._stylize(group[half:], pool)
                else:
                    seconds = group[0].seconds + time.monotonic() - started
                    yield task.outcome("failed", seconds, group[0].photo.size, str(error))
                continue
            share = (time.monotonic() - started) / len(group)
            for loaded, pixels in zip(group, results, strict=True):
                photo = loaded.photo.with_pixels(pixels)
                yield replace(loaded, photo=photo, seconds=loaded.seconds + share)


def _groups(batch: Sequence[LoadedPhoto]) -> Iterator[list[LoadedPhoto]]:
    """Yield the photos of a batch that are stylised at once: of one size, and by one recipe."""
    alike: dict[tuple[str, tuple[int, int]], list[LoadedPhoto]] = {}
    for loaded in batch:
        alike.setdefault((loaded.task.recipe.digest, loaded.photo.size), []).append(loaded)
    for group in alike.values():
        size = group[0].task.recipe.choice.batch_size
        for first in range(0, len(group), size):
            yield group[first : first + size]
