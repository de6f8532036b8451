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
        few: the photos that the estimate is made from; if none can be read, the rest is 0.
    """

    pixels: float
    seconds: float
    few: Excerpts


def estimate(
    run_options: RunOptions, plans: Sequence[BatchPlan], images: int = 1
) -> dict[str, Estimate]:
    """Return what batches would take, by name.

    A few photos of each batch are read, and a part of one of them is stylized.

    Args:
        run_options: the config's options of the run as a whole.
        plans: the batches.
        images: how many images the run has, including those that are done.

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
    return {each.batch.name: _estimate(run_options.max_pixels, each, pool) for each in plans}


def _estimate(max_pixels: int, batch_plan: BatchPlan, pool: EnginePool) -> Estimate:
    method = batch_plan.options
    read = excerpts(batch_plan, _IMAGES_READ, method.estimate_side, max_pixels)
    few, count, _ = read
    if not few:
        return Estimate(0.0, 0.0, read)
    median = sorted(few, key=lambda excerpt: math.prod(excerpt.whole))[len(few) // 2]
    seconds = method.measure(_timer(median, batch_plan, pool))
    pixels = fmean(math.prod(excerpt.whole) for excerpt in few)
    computed = fmean(
        excerpt.scale(method.short_side) ** 2 * math.prod(excerpt.whole) for excerpt in few
    )
    seconds_a_pixel = seconds / median.pixels[0].numel()
    return Estimate(count * pixels, count * computed * seconds_a_pixel, read)


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
