"""Estimates what a run would take: pixels, and time from a short calibration."""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean
from typing import NamedTuple

from stylebeam.pipeline.beam.model_handler import StylizeModelHandler
from stylebeam.pipeline.config.run_config import RunOptions
from stylebeam.pipeline.methods.contract import Resolved
from stylebeam.pipeline.methods.pool import EnginePool
from stylebeam.pipeline.runs.excerpts import Excerpt, Excerpts, excerpts
from stylebeam.pipeline.runs.planning import BatchPlan, recipes_of
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.photo import Photo

_IMAGES_READ = 12


class Estimate(NamedTuple):
    """What the images of a batch that are to be done would take on this machine.

    Attributes:
        pixels: of all of them together.
        seconds: for all of them.
    """

    pixels: float
    seconds: float


def estimate(
    run_options: RunOptions,
    plans: Sequence[BatchPlan],
    images: int = 1,
    tried: Callable[[BatchPlan, Excerpts], None] = lambda *_: None,
) -> dict[str, Estimate]:
    """Return what batches would take, by name; batches of which no image can be read are left out.

    A few photos of each batch are read, and a part of one of them is stylized.

    Args:
        run_options: the config's options of the run as a whole.
        plans: the batches.
        images: how many images the run has, including those that are done.
        tried: receives each batch with the photos that were tried.

    Raises:
        StorageError: an input or an output cannot be listed.
    """
    handler = StylizeModelHandler(
        recipes_of(plans),
        run_options.device,
        run_options.max_pixels,
        memory=run_options.memory_in_bytes,
        images=images,
    )
    pool = handler.load_model()
    found = {}
    for each in plans:
        few = excerpts(each, _IMAGES_READ, each.options.estimate_side, run_options.max_pixels)
        tried(each, few)
        if few.found:
            found[each.batch.name] = _estimate(few, each, pool)
    return found


def _estimate(few: Excerpts, batch_plan: BatchPlan, pool: EnginePool) -> Estimate:
    method = batch_plan.options
    found = sorted(few.found, key=lambda excerpt: math.prod(excerpt.whole))
    median = found[len(found) // 2]
    seconds = method.measure(_timer(median, batch_plan, pool))
    pixels = fmean(math.prod(excerpt.whole) for excerpt in found)
    computed = fmean(
        excerpt.scale(method.short_side) ** 2 * math.prod(excerpt.whole) for excerpt in found
    )
    seconds_a_pixel = seconds / median.pixels[0].numel()
    return Estimate(few.to_do * pixels, few.to_do * computed * seconds_a_pixel)


def _timer(
    excerpt: Excerpt, batch_plan: BatchPlan, pool: EnginePool
) -> Callable[[Resolved, int], float]:
    """Return what measures a form of the batch's method, from a photo's file to the output's."""
    recipe = batch_plan.recipes_by_digest[excerpt.task.recipe]
    file = encode(Photo(excerpt.pixels), recipe.format, recipe.quality)

    def seconds(method: Resolved, rounds: int) -> float:
        def stylize() -> None:
            picture = pool.stylize(decode(file), method)
            encode(picture, recipe.format, recipe.quality)

        at_once = pool.photos_at_once(method)
        started = time.perf_counter()
        with ThreadPoolExecutor(rounds * at_once) as threads:
            for call in [threads.submit(stylize) for _ in range(rounds * at_once)]:
                call.result()
        return (time.perf_counter() - started) / (rounds * at_once)

    return seconds
