"""Reduce photos, and enlarge their stylized images with the photo's fine detail.

A stylized image that is only interpolated looks soft next to its photo. A guided filter adds the
photo's detail where the stylized image follows the photo (He, Sun and Tang 2013, "Guided Image
Filtering"):

    out = up(s) + up(a) (Y - up(y)),    a = cov(s, y) / (var(y) + epsilon)

s is the stylized image, Y the luminance of the photo, y the luminance of the reduced photo, up is
bicubic interpolation, and cov and var are taken over a window around each pixel. Edges that both
images share become sharp. Where a brush stroke does not follow the photo, a is about 0 and the
photo does not show through.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.images.color import luminance
from stylebeam.transforms.images.pixels import from_unit_range, to_unit_range

# Of the filter's window, in pixels of the reduced image.
_RADIUS = 2
# Variance of luminance below which it is noise, as in a clear sky.
_EPSILON = 1e-4
_LARGEST_SLOPE = 1.5
# The image is enlarged in bands of about this many pixels, to save memory.
_BAND_PIXELS = 2**21


def reduced_to(pixels: Tensor, short_side: int) -> Tensor:
    """Return a photo reduced to a smaller size, without aliasing.

    Args:
        pixels: RGB, uint8 or uint16, shape (3, H, W).
        short_side: shorter side of the result in pixels, at most that of the photo.

    Returns:
        RGB, same dtype.
    """
    factor = short_side / min(pixels.shape[1:])
    size = [round(factor * side) for side in pixels.shape[1:]]
    if pixels.dtype == torch.uint8:
        return F.interpolate(pixels[None], size, mode="bilinear", antialias=True)[0]
    # One channel at a time, because float32 takes twice the memory of uint16.
    channels = [
        F.interpolate(to_unit_range(channel[None, None]), size, mode="bilinear", antialias=True)
        for channel in pixels
    ]
    return from_unit_range(torch.cat(channels, 1)[0], pixels.dtype)


def enlarge_like(stylized: Tensor, reduced: Tensor, photo: Tensor, strength: float = 1.0) -> Tensor:
    """Return a stylized image enlarged to the size of its photo, with the photo's detail.

    Args:
        stylized: RGB, uint8 or uint16, shape (3, h, w), the result for `reduced`.
        reduced: the reduced photo, same dtype and shape.
        photo: RGB, uint8 or uint16, shape (3, H, W), at least as large.
        strength: from 0 for the photo to 1 for the stylized image; between, both are blended.

    Returns:
        RGB, the photo's dtype and shape.
    """
    result, small = to_unit_range(stylized[None]), to_unit_range(reduced[None])
    low = torch.cat([result, _slopes(result, luminance(small)), luminance(small)], 1)
    height, width = photo.shape[1:]
    row_weights = _bicubic_weights(low.shape[2], height)
    whole = torch.empty((height, width, 3), dtype=photo.dtype)
    band_height = max(1, _BAND_PIXELS // width)
    for top in range(0, height, band_height):
        weights = row_weights[top : top + band_height]
        [used] = weights.any(0).nonzero(as_tuple=True)
        low_rows = low[:, :, used[0] : used[-1] + 1]
        wide = F.interpolate(low_rows, (low_rows.shape[2], width), mode="bicubic")
        band = torch.einsum("rl,bclw->bcrw", weights[:, used[0] : used[-1] + 1], wide)
        enlarged, slopes, smooth = band.split((3, 3, 1), 1)
        part = to_unit_range(photo[None, :, top : top + len(weights)])
        result = torch.addcmul(enlarged, slopes, luminance(part) - smooth).clamp(0, 1)
        result = torch.lerp(part, result, strength)
        whole[top : top + len(weights)] = from_unit_range(result[0], photo.dtype).permute(1, 2, 0)
    return whole.permute(2, 0, 1)


def _slopes(images: Tensor, guide: Tensor) -> Tensor:
    """Return the slope a of each channel on the guide, shape (1, 3, H, W)."""
    mean, guide_mean = _window_mean(images), _window_mean(guide)
    covariance = _window_mean(images * guide) - mean * guide_mean
    variance = _window_mean(guide**2) - guide_mean**2
    slopes = covariance / (variance.clamp_min(0) + _EPSILON)
    return _window_mean(slopes.clamp(-_LARGEST_SLOPE, _LARGEST_SLOPE))


def _window_mean(values: Tensor) -> Tensor:
    """Return the mean of the window around each pixel."""
    side = 2 * _RADIUS + 1
    return F.avg_pool2d(values, side, 1, _RADIUS, count_include_pad=False)


def _bicubic_weights(old: int, new: int) -> Tensor:
    """Return the matrix that interpolates `old` samples to `new`, shape (new, old)."""
    return F.interpolate(torch.eye(old)[None, None], (new, old), mode="bicubic")[0, 0]
