"""Minimisers of one image each, which ask for the loss where they want to know it.

A minimiser names an image, its `trial`, and is told the loss and the gradient there. So the images
of a batch take turns, and each goes its own way: none takes a step because of another.
"""

from collections import deque
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from stylebeam.transforms.gatys.preconditioner import Preconditioner

# Of the loss: what its rounding in bfloat16 may add to it without counting as a rise.
_ROUNDING = 1e-5
# A step must lower the loss by this part of what its slope promises (Armijo's condition).
_SUFFICIENT = 1e-4
_MOST_SHORTER_STEPS = 10
# The cosine between a step and the change of the gradient that makes the pair worth remembering.
_LEAST_COSINE = 1e-6
# The first step, of which nothing is known, changes colours by this much on average.
_FIRST_STEP = 0.02
# The scale of a preconditioner, as the last step's curvature has it, times this: the loss curves
# less in the directions that are not remembered than in those that it has been lowered along.
_UNSEEN = 2.0
# The first step down another loss, times this: its curvature is not quite what is remembered.
_RESTART = 0.25


class Minimizer(Protocol):
    """Goes down a loss."""

    @property
    def image(self) -> Tensor:
        """The best image so far."""

    @property
    def trial(self) -> Tensor:
        """The image whose loss is asked for."""

    def restart(self) -> None:
        """Go on from the best image, for another loss of much the same shape."""

    def update(self, loss: float, gradient: Tensor) -> None:
        """Take note of the loss of `trial` and its gradient, and choose the next."""


class Adam:
    """Adam (Kingma and Ba 2015) of one image."""

    def __init__(self, image: Tensor, learning_rate: float, bounded: bool) -> None:
        """Begin.

        Args:
            image: of any shape.
            learning_rate: about how much a value changes in a step.
            bounded: keep values within [0, 1].
        """
        self.image = image.clone()
        self._bounded = bounded
        self._optimizer = torch.optim.Adam([self.image], lr=learning_rate)

    @property
    def trial(self) -> Tensor:
        """The image whose loss is asked for."""
        return self.image

    def restart(self) -> None:
        """Go on: of a loss, Adam remembers only what its gradient was like."""

    def update(self, loss: float, gradient: Tensor) -> None:
        """Take a step. Only the gradient counts."""
        self.image.grad = gradient
        self._optimizer.step()
        if self._bounded:
            self.image.clamp_(0, 1)


class _Line(NamedTuple):
    """A line along which a lower loss is sought.

    Attributes:
        loss: where the line begins.
        gradient: likewise.
        direction: of the line.
        slope: of the loss along it, at its beginning.
        step: how far to go next.
        shortened: how often the step has been.
    """

    loss: float
    gradient: Tensor
    direction: Tensor
    slope: float
    step: float
    shortened: int = 0

    @property
    def highest_accepted(self) -> float:
        """The loss that counts as lower."""
        return self.loss + _SUFFICIENT * self.step * self.slope + _ROUNDING * abs(self.loss)

    def shorter(self, loss: float) -> "_Line":
        """Return the line with a shorter step, to the minimum of a parabola through what is known.

        Args:
            loss: at the step that was too long; it may be NaN.
        """
        excess = loss - self.loss - self.slope * self.step
        lowest = -self.slope * self.step**2 / (2 * excess) if excess > 0 else 0.0
        step = min(max(lowest, 0.1 * self.step), 0.5 * self.step)
        return self._replace(step=step, shortened=self.shortened + 1)


class Lbfgs:
    """L-BFGS (Liu and Nocedal 1989) of one image, with a backtracking line search.

    With bounds it is projected: values at a bound stay there while the gradient pushes them
    outwards, and steps are clipped.
    """

    def __init__(
        self,
        image: Tensor,
        memory: int,
        bounded: bool,
        preconditioner: Preconditioner | None = None,
        precision: torch.dtype | None = None,
    ) -> None:
        """Begin.

        Args:
            image: of any shape.
            memory: how many of the last steps are remembered.
            bounded: keep values within [0, 1].
            preconditioner: a first guess of the inverse Hessian, up to a factor; by default the
                identity.
            precision: in which steps are remembered, by default the image's. A half of its bits
                serves as well where gradients are no more exact.
        """
        self.image = image.clone()
        self.trial = self.image
        self._bounded = bounded
        self._preconditioner = preconditioner
        # Made at once and used again: among the blocks of ever other activations, pairs that come
        # and go would leave holes in memory.
        self._spare = [
            (torch.empty_like(image, dtype=precision), torch.empty_like(image, dtype=precision))
            for _ in range(memory + 1)
        ]
        self._pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque()
        self._line: _Line | None = None

    def restart(self) -> None:
        """Go on from the best image. The curvature of the loss before is kept."""
        self.trial = self.image
        self._line = None

    def update(self, loss: float, gradient: Tensor) -> None:
        """Move to `trial` if that lowered the loss, else try a shorter step."""
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
            # What is remembered misleads; or the loss is level up to its rounding.
            self._forget(len(self._pairs))
            self._line = self._line_from(line.loss, line.gradient)
        moved = self.image + self._line.step * self._line.direction
        self.trial = moved.clamp_(0, 1) if self._bounded else moved

    def _line_from(self, loss: float, gradient: Tensor) -> "_Line":
        """Return where to look for a lower loss from the best image on."""
        free = gradient
        if self._bounded:
            outwards = (self.image <= 0) & (gradient > 0) | (self.image >= 1) & (gradient < 0)
            free = gradient.masked_fill(outwards, 0)
        direction = -self._inverse_hessian_times(free)
        if self._bounded:
            direction.masked_fill_(outwards, 0)
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
        # What is remembered is rounded, and its curvature that of what is remembered.
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
        """Forget so many of the oldest pairs."""
        for _ in range(oldest):
            step, change, _ = self._pairs.popleft()
            self._spare.append((step, change))

    def _inverse_hessian_times(self, gradient: Tensor) -> Tensor:
        """The two loops of Nocedal 1980, between them the preconditioner."""
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
