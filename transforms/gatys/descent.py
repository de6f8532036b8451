"""The optimization loop: a minimizer lowers the loss of one image until it stops falling."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from stylebeam.transforms.gatys.minimizers import Minimizer
from stylebeam.transforms.hardware.precision import NonFiniteError
from stylebeam.transforms.losses.perceptual import LossTerms, PerceptualLoss, Targets

# The loss must fall by the tolerance within this many evaluations.
_WINDOW = 10


class Objective(NamedTuple):
    """The perceptual loss of one image, as a function of its pixels.

    Only one image: convolutions of a batch round differently, which an optimization amplifies until
    it is visible, and they are faster for small images only.

    Attributes:
        loss: the perceptual loss.
        content: the `content_targets` of the photo.
        style: the `style_targets` of one painting, or of several, blended.
    """

    loss: PerceptualLoss
    content: Targets
    style: Targets

    def evaluate(self, image: Tensor) -> tuple[LossTerms, Tensor]:
        """Return the weighted terms of an image's loss, and the gradient of their sum.

        Args:
            image: RGB, shape (1, 3, H, W), float32.
        """
        image = image.detach().requires_grad_()
        terms = self.loss(image, self.content, self.style)
        [gradient] = torch.autograd.grad(terms.total, [image])
        return terms.detach(), gradient


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of the loss.

    Attributes:
        number: counts the evaluations of a descent from 1.
        size: height and width of the image, in pixels.
        terms: the weighted terms of the loss.
    """

    number: int
    size: tuple[int, int]
    terms: LossTerms


OnEvaluation = Callable[[Evaluation], None]


def descend(
    objective: Objective,
    minimizer: Minimizer,
    iterations: int,
    tolerance: float = 0.0,
    on_evaluation: OnEvaluation | None = None,
) -> None:
    """Minimize the loss of an image; the result is the minimizer's image.

    Args:
        objective: the loss.
        minimizer: chooses the images at which the loss is evaluated.
        iterations: number of evaluations of the loss, at most.
        tolerance: stop once ten evaluations lower the loss by no more than this fraction of it; 0
            for never.
        on_evaluation: is called after each evaluation. What it raises ends the descent.

    Raises:
        NonFiniteError: the first loss or the final image has values that are NaN or infinite.
    """
    losses: list[float] = []
    while len(losses) < iterations and not _is_level(losses, tolerance):
        terms, gradient = objective.evaluate(minimizer.trial)
        losses.append(terms.total.item())
        _check_finite(math.isfinite(losses[0]))
        minimizer.update(losses[-1], gradient)
        if on_evaluation is not None:
            height, width = minimizer.image.shape[2:]
            on_evaluation(Evaluation(len(losses), (height, width), terms))
    _check_finite(bool(minimizer.image.isfinite().all()))


def _is_level(losses: Sequence[float], tolerance: float) -> bool:
    if not tolerance or len(losses) <= _WINDOW:
        return False
    before = min(losses[:-_WINDOW])
    return before - min(losses) <= tolerance * before


def _check_finite(finite: bool) -> None:
    if not finite:
        raise NonFiniteError("The loss of the image is not finite (NaN or infinite).")
