"""A first guess of a perceptual loss's inverse Hessian, which L-BFGS corrects by its steps."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Cycles per pixel below which all frequencies weigh alike.
_LOWEST_FREQUENCY = 0.02
# Pixels from one place where curvature is known to the next; each looks twice as far around.
_SPACING = 8
# What the sums of the last steps keep with each new one: about twenty steps count.
_KEPT = 0.95
# Of the mean of a step: so little of it says nothing of the curvature where it is.
_NEGLIGIBLE = 0.01
_HIGHEST_CURVATURE = 16.0  # of the mean, and one part of it the lowest
_LOCAL_EXPONENT = 0.5


class Preconditioner:
    """The linear map D F D, symmetric and positive definite.

    F weighs a spatial frequency f by f^-exponent: a perceptual loss is steep along fine patterns,
    which are in every layer's sight, and flat along coarse ones.

    D D weighs a colour of a place by h^-1/2, where h is the loss's curvature around it, of steps s
    and changes y of the gradient with them:

        h = sum of s y / sum of s s

    over the surroundings and the last steps. That is 1 until a step is known.
    """

    def __init__(self, image: Tensor, exponent: float) -> None:
        """Begin.

        Args:
            image: what is optimised, shape (1, C, H, W), each side at least 8.
            exponent: of the frequency.
        """
        self._size = image.shape[2:]
        rows = torch.fft.fftfreq(self._size[0], device=image.device)
        columns = torch.fft.rfftfreq(self._size[1], device=image.device)
        frequencies = torch.hypot(rows[:, None], columns[None]).clamp_min(_LOWEST_FREQUENCY)
        self._spectrum = frequencies**-exponent
        self._squares: Tensor | float = 0.0
        self._curvatures: Tensor | float = 0.0
        # One block for good: what comes and goes would leave holes in memory.
        self._local = torch.ones_like(image)

    def __call__(self, values: Tensor) -> Tensor:
        """Return the map of values of the image's shape, as a new tensor."""
        waves = torch.fft.rfft2(self._local * values) * self._spectrum
        return torch.fft.irfft2(waves, s=self._size).mul_(self._local)

    def learn(self, step: Tensor, change: Tensor) -> None:
        """Take note of a step along which the loss curves upwards.

        Args:
            step: s, of the image's shape.
            change: y, likewise.
        """
        self._squares = _KEPT * self._squares + _around(step * step)
        self._curvatures = _KEPT * self._curvatures + _around(step * change)
        curvature = (self._curvatures + _NEGLIGIBLE) / (self._squares + _NEGLIGIBLE)
        curvature = curvature.clamp(1 / _HIGHEST_CURVATURE, _HIGHEST_CURVATURE)
        weights = curvature ** (-_LOCAL_EXPONENT / 2)
        self._local.copy_(F.interpolate(weights, self._size, mode="bilinear"))


def _around(products: Tensor) -> Tensor:
    """Return means over surroundings, in units of the mean over all."""
    means = F.avg_pool2d(products, 2 * _SPACING, _SPACING, _SPACING // 2, ceil_mode=True)
    return means / products.mean()
