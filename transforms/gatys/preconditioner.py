"""An initial inverse Hessian of a perceptual loss for L-BFGS."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Cycles per pixel. All frequencies below it have the same weight.
_LOWEST_FREQUENCY = 0.02
# Pixels between the points of the grid on which curvature is measured; each point averages over a
# window of twice that size.
_SPACING = 8
# Decay of the sums over past steps: about the last twenty steps count.
_KEPT = 0.95
# Relative to the mean square of a step: where a step is smaller, it says nothing about curvature.
_NEGLIGIBLE = 0.01
# Relative to the mean; the lowest curvature is its reciprocal.
_HIGHEST_CURVATURE = 16.0
_LOCAL_EXPONENT = 0.5


class Preconditioner:
    """The linear map D F D, symmetric and positive definite.

    F multiplies a spatial frequency f by f^-exponent: a perceptual loss is steep along fine
    patterns, which every layer sees, and flat along coarse ones.

    D D multiplies a color value by h^-1/2, where h is the curvature of the loss around it, from
    steps s and the changes y of the gradient along them:

        h = sum of s y / sum of s s

    over a window around the value and over the last steps. Before the first step, h is 1.
    """

    def __init__(self, image: Tensor, exponent: float) -> None:
        """Start without knowledge of the curvature.

        Args:
            image: the image that is optimized, shape (1, C, H, W), each side at least 8.
            exponent: of the frequency.
        """
        self._size = image.shape[2:]
        rows = torch.fft.fftfreq(self._size[0], device=image.device)
        columns = torch.fft.rfftfreq(self._size[1], device=image.device)
        frequencies = torch.hypot(rows[:, None], columns[None]).clamp_min(_LOWEST_FREQUENCY)
        self._spectrum = frequencies**-exponent
        self._squares: Tensor | float = 0.0
        self._curvatures: Tensor | float = 0.0
        # Allocated once and reused, so that memory does not fragment.
        self._local = torch.ones_like(image)

    def __call__(self, values: Tensor) -> Tensor:
        """Apply the map to values of the image's shape; return a new tensor."""
        waves = torch.fft.rfft2(self._local * values) * self._spectrum
        return torch.fft.irfft2(waves, s=self._size).mul_(self._local)

    def learn(self, step: Tensor, change: Tensor) -> None:
        """Update the curvature with a step along which the loss curves upward.

        Args:
            step: s, of the image's shape.
            change: y, of the image's shape.
        """
        self._squares = _KEPT * self._squares + _around(step * step)
        self._curvatures = _KEPT * self._curvatures + _around(step * change)
        curvature = (self._curvatures + _NEGLIGIBLE) / (self._squares + _NEGLIGIBLE)
        curvature = curvature.clamp(1 / _HIGHEST_CURVATURE, _HIGHEST_CURVATURE)
        weights = curvature ** (-_LOCAL_EXPONENT / 2)
        self._local.copy_(F.interpolate(weights, self._size, mode="bilinear"))


def _around(products: Tensor) -> Tensor:
    """Return means over windows, relative to the mean over the whole image."""
    means = F.avg_pool2d(products, 2 * _SPACING, _SPACING, _SPACING // 2, ceil_mode=True)
    return means / products.mean()
