"""Beam's ModelHandler for engines: a pool of them in each worker process."""

import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler

from stylebeam.pipeline.archive.records import Recipe
from stylebeam.pipeline.beam.in_progress import IN_PROGRESS, nothing_left_in_progress
from stylebeam.pipeline.beam.loaded_photo import FailedPhoto, LoadedPhoto
from stylebeam.pipeline.beam.stopping import leave_interrupts_to
from stylebeam.pipeline.methods.pool import EnginePool, StylizationError
from stylebeam.transforms.backends import is_computed_by_openvino
from stylebeam.transforms.engine import Canceled
from stylebeam.transforms.hardware.devices import DeviceName, choose_device, device_memory
from stylebeam.transforms.hardware.memory import (
    keep_blocks_of_images,
    keep_few_kernels,
    return_large_blocks,
)
from stylebeam.transforms.images.formats import DEFAULT_MAX_PIXELS

METRICS_NAMESPACE = "stylebeam"
NETWORKS_LOADED = "networks_loaded"


class StylizeModelHandler(ModelHandler[LoadedPhoto, "LoadedPhoto | FailedPhoto", EnginePool]):
    """Stylizes photos one at a time; if a photo fails, the others continue."""

    def __init__(
        self,
        recipes: Mapping[str, Recipe],
        device: DeviceName = "auto",
        max_pixels: int = DEFAULT_MAX_PIXELS,
        memory: int | None = None,
        processes: int = 1,
        images: int = 1,
    ) -> None:
        """Make the handler.

        Args:
            recipes: the recipes of all photos, by their digests.
            device: where to compute.
            max_pixels: photos that would be enlarged to more pixels fail.
            memory: bytes that photos may take in each worker process; by default its share of half
                of the machine's.
            processes: worker processes on each machine, which share its cores.
            images: how many photos there will be, so that workers know whether compiling the
                networks is worth the time.
        """
        # One photo a batch: a larger one would only hold back photos that are finished.
        super().__init__(min_batch_size=1, max_batch_size=1)
        self._made_in = os.getpid()
        self._recipes = dict(recipes)
        self._device: DeviceName = device
        self._max_pixels = max_pixels
        self._memory = memory
        self._processes = processes
        self._images = images

    def load_model(self) -> EnginePool:
        """Return an empty pool; networks are loaded when a photo needs them."""
        leave_interrupts_to(self._made_in)
        if os.getpid() != self._made_in:
            IN_PROGRESS.end_process_if_stuck()
        keep_few_kernels()
        keep_blocks_of_images()
        device = choose_device(self._device)
        if not is_computed_by_openvino(device):
            return_large_blocks()
        if self._processes > 1:
            torch.set_num_threads(max(1, (os.cpu_count() or 1) // self._processes))
        memory = self._memory or device_memory(device) // 2 // self._processes
        loaded = Metrics.counter(METRICS_NAMESPACE, NETWORKS_LOADED)
        return EnginePool(self._device, self._max_pixels, memory, self._images, loaded.inc)

    def run_inference(
        self,
        batch: Sequence[LoadedPhoto],
        model: EnginePool,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[LoadedPhoto | FailedPhoto]:
        """Return for each photo its picture, or why there is none."""
        with nothing_left_in_progress():
            return [self._stylize(loaded, model) for loaded in batch]

    def get_num_bytes(self, batch: Sequence[LoadedPhoto]) -> int:
        """Return the size of the pixels. (Beam's own method counts by pickling them.)"""
        return sum(loaded.photo.pixels.nbytes for loaded in batch)

    def get_metrics_namespace(self) -> str:
        """Return the namespace of the metrics of Beam's RunInference."""
        return METRICS_NAMESPACE

    def _stylize(self, loaded: LoadedPhoto, pool: EnginePool) -> LoadedPhoto | FailedPhoto:
        started = time.monotonic()
        options = self._recipes[loaded.recipe].options
        # Until the engine reports its first step, the photo waits for other photos or the network.
        IN_PROGRESS.enter("", math.prod(loaded.photo.size) * options.scale**2)
        try:
            picture = pool.stylize(loaded.photo, options, IN_PROGRESS.control("stylized"))
        except (StylizationError, Canceled) as error:
            reason = IN_PROGRESS.why_canceled() if isinstance(error, Canceled) else str(error)
            seconds = loaded.seconds + time.monotonic() - started
            return FailedPhoto(loaded.key, reason, seconds, loaded.photo.size)
        return replace(loaded, photo=picture, seconds=loaded.seconds + time.monotonic() - started)
