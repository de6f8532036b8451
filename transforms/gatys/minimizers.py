"""Minimizers of a loss over the pixels of an image: Adam, and L-BFGS with a line search.

A minimizer does not call the loss: it has a `trial`, the image at which it needs the loss next, and
the caller passes it the loss and the gradient there.
"""

from collections import deque
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from stylebeam.transforms.gatys.preconditioner import Preconditioner

# Relative to the loss: a rise this small may come from rounding in bfloat16, and is accepted.
_ROUNDING = 1e-5
# A step must lower the loss by this fraction of what its slope predicts (Armijo's condition).
_SUFFICIENT = 1e-4
_MOST_SHORTER_STEPS = 10
# A step and the change of the gradient are remembered if the cosine between them is larger.
_LEAST_COSINE = 1e-6
# The mean change of a color in the first step, when the curvature is unknown.
_FIRST_STEP = 0.02
# Factor of the preconditioner's scale, which comes from the curvature along the last step: in
# directions that are not remembered, the loss curves less than along past steps.
_UNSEEN = 2.0
# Factor of the first step after a restart: the new loss curves a little differently.
_RESTART = 0.25


class Minimizer(Protocol):
    """Lowers a loss step by step."""

    @property
    def image(self) -> Tensor:
        """The best image so far."""

    @property
    def trial(self) -> Tensor:
        """The image at which the loss is needed next."""

    def restart(self) -> None:
        """Continue from the best image with another loss of similar curvature."""

    def update(self, loss: float, gradient: Tensor) -> None:
        """Use the loss of `trial` and its gradient to choose the next trial."""


class Adam:
    """Adam (Kingma and Ba 2015)."""

    def __init__(self, image: Tensor, learning_rate: float, bounded: bool) -> None:
        """Start at an image.

        Args:
            image: of any shape.
            learning_rate: about the change of a value in a step.
            bounded: keep values within [0, 1].
        """
        self.image = image.clone()
        self._bounded = bounded
        self._optimizer = torch.optim.Adam([self.image], lr=learning_rate)

    @property
    def trial(self) -> Tensor:
        """The image at which the loss is needed next."""
        return self.image

    def restart(self) -> None:
        """Do nothing: Adam's running means of the gradient serve another loss too."""

    def update(self, loss: float, gradient: Tensor) -> None:
        """Take a step along the gradient; the loss is not used."""
        self.image.grad = gradient
        self._optimizer.step()
        if self._bounded:
            self.image.clamp_(0, 1)


class _Line(NamedTuple):
    """A line search.

    Attributes:
        loss: at the start of the line.
        gradient: at the start of the line.
        direction: of the line.
        slope: of the loss along the direction, at the start.
        step: the length of the next step, in units of the direction.
        shortened: number of times that the step has been shortened.
    """

    loss: float
    gradient: Tensor
    direction: Tensor
    slope: float
    step: float
    shortened: int = 0

    @property
    def highest_accepted(self) -> float:
        """The largest loss after the step that is accepted."""
        return self.loss + _SUFFICIENT * self.step * self.slope + _ROUNDING * abs(self.loss)

    def shorter(self, loss: float) -> "_Line":
        """Return the line with a shorter step, to the minimum of a parabola.

        The parabola has the loss and the slope at the start, and the loss at the last step.

        Args:
            loss: at the step that was too long; it may be NaN.
        """
        excess = loss - self.loss - self.slope * self.step
        lowest = -self.slope * self.step**2 / (2 * excess) if excess > 0 else 0.0
        step = min(max(lowest, 0.1 * self.step), 0.5 * self.step)
        return self._replace(step=step, shortened=self.shortened + 1)


class Lbfgs:
    """L-BFGS (Liu and Nocedal 1989) with a backtracking line search.

    With bounds it is projected: values at a bound stay there while the gradient pushes them
    outward, and steps are clipped.
    """

    def __init__(
        self,
        image: Tensor,
        history_size: int,
        bounded: bool,
        preconditioner: Preconditioner | None = None,
        precision: torch.dtype | None = None,
    ) -> None:
        """Start at an image.

        Args:
            image: of any shape.
            history_size: number of past steps that are remembered.
            bounded: keep values within [0, 1].
            preconditioner: the initial inverse Hessian, up to a factor; by default the identity.
            precision: of the remembered steps, by default the image's. A lower one does as well if
                gradients are computed in it.
        """
        self.image = image.clone()
        self.trial = self.image
        self._bounded = bounded
        self._preconditioner = preconditioner
        # Allocated once and reused: pairs that are allocated and freed between activations of
        # different sizes would fragment the memory.
        self._spare = [
            (torch.empty_like(image, dtype=precision), torch.empty_like(image, dtype=precision))
            for _ in range(history_size + 1)
        ]
        self._pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque()
        self._line: _Line | None = None

    def restart(self) -> None:
        """Continue from the best image. The curvature of the last loss is kept."""
        self.trial = self.image
        self._line = None

    def update(self, loss: float, gradient: Tensor) -> None:
        """Move to `trial` if its loss is lower, otherwise try a shorter step."""
        line = self._line
        if line is None:
            line = self._line_from(loss, gradient)
            self._line = line._replace(step=_RESTART * line.step) if self._pairs else line
        elif loss <= line.highest_accepted:
            self._remember(line.gradient, gradient)
            self.image = self.trial
            self._line = self._line_from(loss, gradient)
        elif line.shortened < _MOST_SHORTER_STEPS:
            self._line = line.shorter(loss)
        else:
            # The remembered steps mislead, or the loss cannot fall further than its rounding.
            self._forget(len(self._pairs))
            self._line = self._line_from(line.loss, line.gradient)
        moved = self.image + self._line.step * self._line.direction
        self.trial = moved.clamp_(0, 1) if self._bounded else moved

    def _line_from(self, loss: float, gradient: Tensor) -> "_Line":
        """Return a new line search that starts at the best image."""
        free = gradient
        if self._bounded:
            outward = (self.image <= 0) & (gradient > 0) | (self.image >= 1) & (gradient < 0)
            free = gradient.masked_fill(outward, 0)
        direction = -self._inverse_hessian_times(free)
        if self._bounded:
            direction.masked_fill_(outward, 0)
        slope = _dot(free, direction).item()
        if slope >= 0 and self._pairs:
            self._forget(len(self._pairs))
            return self._line_from(loss, gradient)
        size = direction.abs().mean().item()
        step = 1.0 if self._pairs or not size else _FIRST_STEP / size
        return _Line(loss, gradient, direction, slope, step)

    def _remember(self, before: Tensor, gradient: Tensor) -> None:
        """Remember the step to `trial` and the change of the gradient, if the loss curves there."""
        step, change = self._spare.pop()
        # The curvature must fit the pair as it is stored, which is rounded.
        moved = step.copy_(self.trial - self.image).to(gradient.dtype)
        changed = change.copy_(gradient - before).to(gradient.dtype)
        curvature = _dot(moved, changed)
        if curvature > _LEAST_COSINE * moved.norm() * changed.norm():
            self._pairs.append((step, change, curvature))
            self._forget(0 if self._spare else 1)
            if self._preconditioner is not None:
                self._preconditioner.learn(moved, changed)
        else:
            self._spare.append((step, change))

    def _forget(self, oldest: int) -> None:
        """Forget this many of the oldest pairs."""
        for _ in range(oldest):
            step, change, _ = self._pairs.popleft()
            self._spare.append((step, change))

    def _inverse_hessian_times(self, gradient: Tensor) -> Tensor:
        """Apply the two-loop recursion of Nocedal 1980, with the preconditioner in the middle."""
        result = gradient.clone()
        parts = []
        for step, change, curvature in reversed(self._pairs):
            part = _dot(step, result) / curvature
            result.addcmul_(part, change, value=-1)
            parts.append(part)
        result = self._preconditioned(result)
        if self._pairs:
            _, change, curvature = self._pairs[-1]
            change = change.to(gradient.dtype)
            result *= curvature / _dot(change, self._preconditioned(change))
            if self._preconditioner is not None:
                result *= _UNSEEN
        for (step, change, curvature), part in zip(self._pairs, reversed(parts), strict=True):
            result.addcmul_(part - _dot(change, result) / curvature, step)
        return result

    def _preconditioned(self, values: Tensor) -> Tensor:
        return values if self._preconditioner is None else self._preconditioner(values)


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return torch.dot(one.to(other.dtype).flatten(), other.flatten())
