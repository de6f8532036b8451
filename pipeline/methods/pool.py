"""The engines that a worker process keeps, and the cores that they share."""

import contextlib
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import torch

from stylebeam.pipeline.methods.contract import Resolved, Resources
from stylebeam.transforms.backends import images_at_once
from stylebeam.transforms.backends.computation import Workload
from stylebeam.transforms.engine import NO_CONTROL, Control, Engine
from stylebeam.transforms.hardware.devices import DeviceName, choose_device
from stylebeam.transforms.hardware.precision import NonFiniteError
from stylebeam.transforms.images.formats import DEFAULT_MAX_PIXELS
from stylebeam.transforms.images.photo import Photo

NETWORKS_KEPT = 8
"""How many loaded networks a pool keeps."""


class StylizationError(Exception):
    """A photo that cannot be stylized; the message says why."""


class EnginePool:
    """Loads networks when a photo needs them, and computes as many photos at once as is fastest.

    Methods with equal `network_key` share a network. The least recently used network is dropped
    first. An optimization has a core of its own, since cores that share an image wait for each
    other; a photo that needs more than a core's part of the memory has more cores in proportion.
    """

    def __init__(
        self,
        device: DeviceName,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        memory: int | None = None,
        images: int = 1,
        on_load: Callable[[], None] = lambda: None,
        networks_kept: int = NETWORKS_KEPT,
    ) -> None:
        """Make an empty pool.

        Args:
            device: where to compute.
            max_pixels: photos that would be enlarged to more pixels are refused.
            memory: bytes that all photos may take that are computed at once; None for no limit.
            images: how many photos there will be, about.
            on_load: is called after a network was loaded.
            networks_kept: how many networks to keep.

        Raises:
            DeviceUnavailableError: the device is not on this machine.
        """
        chosen = choose_device(device)
        workload = Workload(images_at_once(chosen), images)
        self._resources = Resources(chosen, workload, memory)
        self._max_pixels = max_pixels
        self._on_load = on_load
        self._networks_kept = networks_kept
        self._networks: OrderedDict[str, Any] = OrderedDict()
        self._loading = threading.Lock()
        self._slots = _Slots(chosen)

    def engine(self, method: Resolved) -> Engine:
        """Return the engine of a method; its network is loaded if it is not here yet.

        Raises:
            MethodError: a file of the method cannot be read, or has changed.
            WeightsUnavailableError: the loss network's weights are not on this machine.
        """
        key = method.network_key
        with self._loading:
            if key not in self._networks:
                self._networks[key] = method.load(self._resources)
                self._on_load()
            self._networks.move_to_end(key)
            while len(self._networks) > self._networks_kept:
                self._networks.popitem(last=False)
            return method.engine(self._networks[key])

    def photos_at_once(self, method: Resolved) -> int:
        """Return how many photos of ordinary size a method computes at once."""
        wanted = self.engine(method).cores_wanted or self._slots.count
        return max(1, self._slots.count // wanted)

    def stylize(self, photo: Photo, method: Resolved, control: Control = NO_CONTROL) -> Photo:
        """Return the picture that a method makes of a photo, once there are cores for it.

        Raises:
            StylizationError: the photo cannot be stylized.
            MethodError, WeightsUnavailableError: as `engine`.
            Canceled: the work was canceled.
        """
        engine = self.engine(method)
        enlarged = engine.scale**2 * math.prod(photo.size)
        if engine.scale > 1 and enlarged > self._max_pixels:
            raise StylizationError(
                f"The enlarged image would have {enlarged} pixels, more than max_pixels"
                f" ({self._max_pixels})."
            )
        with self._slots.taken(self._cores_for(engine, photo)):
            try:
                control.step(0.0)
                return engine(photo, *control)
            except (NonFiniteError, RuntimeError, MemoryError) as error:
                # torch reports a lack of memory, among much else, as a RuntimeError.
                torch.cuda.empty_cache()
                raise StylizationError(f"The image could not be stylized: {error}") from error

    def _cores_for(self, engine: Engine, photo: Photo) -> int:
        count = self._slots.count
        if engine.cores_wanted is None:
            return count
        memory = self._resources.memory
        part = engine.memory_needed(*photo.size) / memory if memory else 0.0
        return min(count, max(engine.cores_wanted, math.ceil(part * count)))


class _Slots:
    """What photos take while they are computed: CPU cores; on a GPU, places in its queue."""

    def __init__(self, device: torch.device) -> None:
        self._threads = torch.get_num_threads()
        self.count = self._threads if device.type == "cpu" else images_at_once(device)
        self._free = threading.Semaphore(self.count)
        self._taking = threading.Lock()

    @contextlib.contextmanager
    def taken(self, count: int) -> Iterator[None]:
        """Wait for `count` slots, and free them at the end."""
        # One thread at a time, or two that have some of their slots would wait for each other.
        with self._taking:
            for _ in range(count):
                self._free.acquire()
        try:
            # When a thread first asks for its number of threads, torch overwrites it with the
            # number that any thread has set last: so it asks before it sets its own.
            torch.get_num_threads()
            torch.set_num_threads(max(1, count * self._threads // self.count))
            yield
        finally:
            # New threads start with the number that was set last.
            torch.set_num_threads(self._threads)
            self._free.release(count)
