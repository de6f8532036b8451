"""Reduces a photo, and brings what was made of it back to full size with the photo's fine detail.

Enlarged alone, a stylised image is soft beside its photo. What the photo has beyond its reduction,
the detail, is added where the stylised image follows the photo: by the slope of the line that
predicts the stylised image from the photo's luminance around a place (the guided filter of He, Sun
and Tang 2013),

    out = up(s) + up(a) (Y - up(y)),    a = cov(s, y) / (var(y) + epsilon)

with the stylised image s, the luminance Y of the photo and y of its reduction. Edges that both have
come out sharp; where a stroke goes its own way the slope is about 0, and nothing shines through.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.images.color import luminance
from stylebeam.transforms.images.pixel_range import from_unit_range, to_unit_range

# Of the reduced image, in pixels: how far around a place to look.
_RADIUS = 2
# Variance of luminance that counts as none: of noise, and of a clear sky.
_EPSILON = 1e-4
_STEEPEST = 1.5
_PIXELS_AT_ONCE = 2**21


def reduced_to(pixels: Tensor, short_side: int) -> Tensor:
    """Return a photo at a smaller size, smoothed against aliasing.

    Args:
        pixels: RGB, uint8 or uint16, shape (3, H, W).
        short_side: of the result, in pixels, at most that of the photo.

    Returns:
        RGB of the same type.
    """
    factor = short_side / min(pixels.shape[1:])
    size = [round(factor * side) for side in pixels.shape[1:]]
    if pixels.dtype == torch.uint8:
        return F.interpolate(pixels[None], size, mode="bilinear", antialias=True)[0]
    # Channel by channel: real numbers take twice the memory.
    channels = [
        F.interpolate(to_unit_range(channel[None, None]), size, mode="bilinear", antialias=True)
        for channel in pixels
    ]
    return from_unit_range(torch.cat(channels, 1)[0], pixels.dtype)


def enlarge_like(stylized: Tensor, reduced: Tensor, photo: Tensor, strength: float = 1.0) -> Tensor:
    """Return a stylised image at the size of its photo.

    Args:
        stylized: RGB, uint8 or uint16, shape (3, h, w), made of `reduced`.
        reduced: the photo at that size, likewise.
        photo: likewise, shape (3, H, W), at least as large.
        strength: from 0, the photo, to 1, the stylised image; between, they are mixed.

    Returns:
        RGB of the photo's type and shape.
    """
    made, small = to_unit_range(stylized[None]), to_unit_range(reduced[None])
    low = torch.cat([made, _slopes(made, luminance(small)), luminance(small)], 1)
    height, width = photo.shape[1:]
    rows = _cubic_weights(height, low.shape[2])
    whole = torch.empty((height, width, 3), dtype=photo.dtype)
    for first in range(0, height, max(1, _PIXELS_AT_ONCE // width)):
        weights = rows[first : first + max(1, _PIXELS_AT_ONCE // width)]
        [used] = weights.any(0).nonzero(as_tuple=True)
        of_low = low[:, :, used[0] : used[-1] + 1]
        wide = F.interpolate(of_low, (of_low.shape[2], width), mode="bicubic")
        band = torch.einsum("rl,bclw->bcrw", weights[:, used[0] : used[-1] + 1], wide)
        enlarged, slopes, smooth = band.split((3, 3, 1), 1)
        part = to_unit_range(photo[None, :, first : first + len(weights)])
        made = torch.addcmul(enlarged, slopes, luminance(part) - smooth).clamp(0, 1)
        made = torch.lerp(part, made, strength)
        whole[first : first + len(weights)] = from_unit_range(made[0], photo.dtype).permute(1, 2, 0)
    return whole.permute(2, 0, 1)


def _slopes(made: Tensor, guide: Tensor) -> Tensor:
    """Return how steeply each channel follows the guide around each place, shape (1, 3, H, W)."""
    mean, mean_of_guide = _around(made), _around(guide)
    covariance = _around(made * guide) - mean * mean_of_guide
    variance = _around(guide**2) - mean_of_guide**2
    slopes = covariance / (variance.clamp_min(0) + _EPSILON)
    return _around(slopes.clamp(-_STEEPEST, _STEEPEST))


def _around(values: Tensor) -> Tensor:
    """Return the mean around each place."""
    side = 2 * _RADIUS + 1
    return F.avg_pool2d(values, side, 1, _RADIUS, count_include_pad=False)


def _cubic_weights(size: int, of: int) -> Tensor:
    """Return the weights of cubic interpolation from one number of places to another."""
    return F.interpolate(torch.eye(of)[None, None], (size, of), mode="bicubic")[0, 0]
