"""The descent: images of a batch go down their losses until these level off."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stylebeam.transforms.gatys.minimizers import Minimizer
from stylebeam.transforms.gatys.objective import Objective
from stylebeam.transforms.hardware.precision import NonFiniteError
from stylebeam.transforms.losses.perceptual import LossTerms

# Evaluations over which a loss must fall by the tolerance.
_WINDOW = 10


@dataclass(frozen=True)
class Progress:
    """What an evaluation found.

    Attributes:
        size: height and width of the images, in pixels.
        terms: of the losses, by the photo's number in the batch; of those still on their way.
    """

    size: tuple[int, int]
    terms: Mapping[int, LossTerms]


Report = Callable[[Progress], None]


def descend(
    objectives: Sequence[Objective],
    minimizers: Sequence[Minimizer],
    iterations: int,
    tolerance: float,
    report: Report | None = None,
) -> None:
    """Minimise the losses of images.

    Args:
        objectives: of each image.
        minimizers: of each image.
        iterations: how often to evaluate a loss, at most.
        tolerance: an image is done once ten evaluations lower its loss by no more than this part
            of it; 0 for never.
        report: receives what each evaluation found.

    Raises:
        NonFiniteError: the loss of an image is NaN or infinite where it begins or ends.
    """
    losses: list[list[float]] = [[] for _ in minimizers]
    for _ in range(iterations):
        active = [number for number, past in enumerate(losses) if not _is_level(past, tolerance)]
        if not active:
            break
        # All are under way before the first is waited for, which keeps a GPU busy.
        found = {number: objectives[number].evaluate(minimizers[number].trial) for number in active}
        for number, (terms, gradient) in found.items():
            losses[number].append(terms.total.item())
            minimizers[number].update(losses[number][-1], gradient)
        if report is not None:
            height, width = minimizers[0].image.shape[2:]
            report(Progress((height, width), {number: found[number][0] for number in active}))
    for past, minimizer in zip(losses, minimizers, strict=True):
        if not math.isfinite(past[0]) or not minimizer.image.isfinite().all():
            raise NonFiniteError("The loss of the image is not finite (NaN or infinite).")


def _is_level(losses: Sequence[float], tolerance: float) -> bool:
    if not tolerance or len(losses) <= _WINDOW:
        return False
    before = min(losses[:-_WINDOW])
    return before - min(losses) <= tolerance * before
