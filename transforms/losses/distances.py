"""Distances between features, Gram matrices or pixels, and their options in configs."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import torch
from pydantic import Field
from torch import Tensor

from stylebeam.transforms.losses.edges import canny_edges

DistanceName = Literal["squared_error", "frobenius", "charbonnier", "msce"]

# Annotations of the fields that several configs have in common.
ContentDistance = Annotated[
    DistanceName, Field(description="The distance between features in the content loss.")
]
StyleDistance = Annotated[
    DistanceName, Field(description="The distance between Gram matrices in the style loss.")
]
CharbonnierEpsilon = Annotated[
    float,
    Field(
        gt=0,
        strict=True,
        description="The Charbonnier distance is quadratic for errors below this, and linear above"
        " it.",
    ),
]


@dataclass(frozen=True)
class Distance:
    """A distance between values and their targets.

    With the difference D and sums over all entries:

        squared_error   sum of D^2, the squared Frobenius norm (Johnson et al. 2016)
        frobenius       sqrt(sum of D^2), the Frobenius norm (Pandey et al. 2018)
        charbonnier     sum of sqrt(D^2 + epsilon^2), which is robust to outliers
        msce            sum of D^2 of the Canny edges of both, each in [0, 1]: only the position of
                        edges counts (Pandey et al. 2018, "MSCE: An Edge Preserving Robust Loss
                        Function for Improving Super-Resolution Algorithms")

    Attributes:
        name: one of the four.
        epsilon: of the Charbonnier distance, in units of the values: the distance is quadratic for
            errors below it, and linear above it.
    """

    name: DistanceName = "squared_error"
    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        """Check the name and epsilon.

        Raises:
            ValueError: there is no such distance, or epsilon is not positive.
        """
        if self.name not in get_args(DistanceName):
            raise ValueError(
                f"there is no distance {self.name!r}; there is {', '.join(get_args(DistanceName))}"
            )
        if not self.epsilon > 0:
            raise ValueError(f"epsilon must be positive, not {self.epsilon}")

    def __call__(self, values: Tensor, target: Tensor, count: float = 1) -> Tensor:
        """Return the distance for each member of a batch, shape (B,), in float32 or wider.

        Args:
            values: of shape (B, C, H, W) or (B, C, C).
            target: of the same shape, or (1, C, C).
            count: the divisor of the sum: 1, or the number of entries for the mean.
        """
        if self.name == "msce":
            values, target = _edges(values), _edges(target)
        difference = values - target
        wide = torch.promote_types(difference.dtype, torch.float32)
        entries = tuple(range(1, difference.ndim))
        if self.name == "charbonnier":
            robust = (difference.to(wide).square() + self.epsilon**2).sqrt()
            return robust.sum(entries) / count
        norm = torch.linalg.vector_norm(difference, dim=entries, dtype=wide)
        if self.name == "frobenius":
            return norm / count**0.5
        return norm.square() / count


SQUARED_ERROR = Distance()


def _edges(values: Tensor) -> Tensor:
    """Return the edges of maps, shape (B, C, H, W), or of matrices, shape (B, C, C)."""
    return canny_edges(values if values.ndim == 4 else values.unsqueeze(1)).view_as(values)
