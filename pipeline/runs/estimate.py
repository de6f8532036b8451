"""What a run would take: the pixels of its images, and the time, from a short calibration."""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import fmean
from typing import NamedTuple

import torch

from stylebeam.pipeline.beam.model_handler import StylizeModelHandler, StylizerPool
from stylebeam.pipeline.config.run_config import RunOptions
from stylebeam.pipeline.methods.paintings import GatysChoice
from stylebeam.pipeline.runs.excerpts import Excerpt, excerpts
from stylebeam.pipeline.runs.planning import BatchPlan
from stylebeam.transforms.backends import images_at_once
from stylebeam.transforms.hardware.devices import choose_device
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.photo import Photo

_IMAGES_READ = 12
# Of the part of a photo on which the time is taken, in pixels.
_NETWORK_SIDE, _OPTIMISATION_SIDE = 1024, 256
_EVALUATIONS = 3


class Estimate(NamedTuple):
    """What the images of a batch that are to be done would take on this machine.

    Attributes:
        pixels: of all of them.
        seconds: for all of them.
    """

    pixels: float
    seconds: float


def estimate(
    run_options: RunOptions, plans: Sequence[BatchPlan], images: int = 1
) -> dict[str, Estimate]:
    """Return what batches would take, by name; those of which no image can be read are left out.

    A few photos of each batch are read, and of one of them a part is stylised.

    Args:
        run_options: what the config says of the run as a whole.
        plans: of the batches.
        images: how many the run has, those that are done included.

    Raises:
        StorageError: an input or an output cannot be listed.
    """
    device = choose_device(run_options.device)
    handler = StylizeModelHandler(
        run_options.device,
        run_options.max_pixels,
        memory=run_options.memory_in_bytes,
        images=images,
    )
    pool = handler.load_model()
    found = {each.batch.name: _estimate(run_options, each, pool, device) for each in plans}
    return {name: each for name, each in found.items() if each is not None}


def _estimate(
    run_options: RunOptions, batch_plan: BatchPlan, pool: StylizerPool, device: torch.device
) -> Estimate | None:
    choice = batch_plan.choice
    side = _OPTIMISATION_SIDE if isinstance(choice, GatysChoice) else _NETWORK_SIDE
    few, count = excerpts(batch_plan, _IMAGES_READ, side, run_options.max_pixels)
    if not few:
        return None
    median = sorted(few, key=lambda excerpt: math.prod(excerpt.whole))[len(few) // 2]
    if isinstance(choice, GatysChoice):
        seconds = _seconds_of_optimisation(median, choice, pool)
    else:
        seconds = _seconds_of_network(median, pool, images_at_once(device))
    pixels = fmean(math.prod(excerpt.whole) for excerpt in few)
    worked_on = fmean(excerpt.scale**2 * math.prod(excerpt.whole) for excerpt in few)
    seconds_a_pixel = seconds / median.pixels[0].numel()
    return Estimate(count * pixels, count * worked_on * seconds_a_pixel)


def _seconds_of_network(excerpt: Excerpt, pool: StylizerPool, at_once: int) -> float:
    """Return the seconds that a photo takes among others, from its file to that of the result."""
    recipe = excerpt.task.recipe
    file = encode(Photo(excerpt.pixels), recipe.format, recipe.quality)

    def stylize() -> None:
        photo = decode(file)
        [pixels] = pool.stylize([photo.pixels], recipe)
        encode(photo.with_pixels(pixels), recipe.format, recipe.quality)

    # The first also loads and compiles the network.
    stylize()
    return _seconds_of_each(stylize, 2 * at_once)


def _seconds_of_optimisation(excerpt: Excerpt, choice: GatysChoice, pool: StylizerPool) -> float:
    """Return the seconds of a photo among others, were it not to level off before its end."""
    recipe = choice.recipe
    # Each coarser level has a quarter of the pixels, and half of the evaluations.
    evaluations = {"iterations": recipe.iterations * sum(0.125**n for n in range(recipe.levels))}
    if recipe.finish != "none":
        evaluations["finish_iterations"] = recipe.finish_iterations
    shortest = dict.fromkeys(evaluations, _EVALUATIONS)
    fixed = {"levels": 1, "init": "content", "size": None, "tolerance": 0.0}

    def seconds(counts: dict[str, int]) -> float:
        short = choice._replace(recipe=recipe.model_copy(update={**fixed, **counts}))
        of_task = replace(excerpt.task.recipe, choice=short)
        pool.load(of_task)
        return _seconds_of_each(
            lambda: pool.stylize([excerpt.pixels], of_task), pool.optimisations_at_once
        )

    seconds(shortest)
    start = seconds(shortest)
    each = {
        key: max(0.0, seconds({**shortest, key: 3 * _EVALUATIONS}) - start) / (2 * _EVALUATIONS)
        for key in evaluations
    }
    return start + sum(each[key] * (count - _EVALUATIONS) for key, count in evaluations.items())


def _seconds_of_each(work: Callable[[], object], count: int) -> float:
    """Return the seconds that each of so many calls takes, all at once."""
    started = time.perf_counter()
    with ThreadPoolExecutor(count) as threads:
        for call in [threads.submit(work) for _ in range(count)]:
            call.result()
    return (time.perf_counter() - started) / count
