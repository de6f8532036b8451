"""A differentiable Canny edge detector (Canny 1986), for losses that compare edges."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

_BLUR_KERNEL = 5
_BLUR_SIGMA = 1.0
# Relative to the strongest gradient of a map.
_WEAK = 0.1
_STRONG = 0.2
# Width of the sigmoids that replace thresholds, so that there is a gradient.
_SOFTNESS = 0.02
# An edge halfway between two pixels has the same strength at both. The sigmoid of this counts
# them as maxima.
_EQUAL_IS_MAXIMUM = 2.0
# A weak edge is followed from a strong one for this many pixels.
_HYSTERESIS_STEPS = 8
# Smaller gradients count as zero, which keeps the square root differentiable.
_SMALLEST_GRADIENT = 1e-6


def canny_edges(maps: Tensor) -> Tensor:
    """Return the edges of each channel separately.

    The steps are Canny's, in a differentiable form: a Gaussian blur, Sobel gradients, non-maximum
    suppression, and hysteresis with a high threshold for edges and a low one for their
    continuation.

    Args:
        maps: shape (B, C, H, W), with any range of values: the thresholds are relative to a map's
            strongest gradient.

    Returns:
        From 0, no edge, to 1, an edge, of the same shape; float32 or wider.
    """
    maps = maps.to(torch.promote_types(maps.dtype, torch.float32))
    single = maps.flatten(0, 1).unsqueeze(1)
    blurred = gaussian_blur(_extended(single), [_BLUR_KERNEL] * 2, [_BLUR_SIGMA] * 2)
    gradient = _sobel(blurred[:, :, 1:-1, 1:-1])
    strength = (gradient.square().sum(1, keepdim=True) + _SMALLEST_GRADIENT**2).sqrt()
    strength = strength / strength.amax((2, 3), keepdim=True).clamp_min(100 * _SMALLEST_GRADIENT)
    thin = strength * _is_maximum_across(strength, gradient)
    return _hysteresis(thin).view_as(maps)


def _extended(maps: Tensor) -> Tensor:
    return F.pad(maps, (2, 2, 2, 2), mode="replicate")


def _sobel(maps: Tensor) -> Tensor:
    """Return the gradient along x and y, shape (N, 2, H - 2, W - 2), of maps (N, 1, H, W)."""
    along_x = maps.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    return F.conv2d(maps, torch.stack([along_x, along_x.mT]).unsqueeze(1))


def _is_maximum_across(strength: Tensor, gradient: Tensor) -> Tensor:
    """Return about 1 where the strength is a maximum along the gradient, and about 0 elsewhere."""
    height, width = strength.shape[2:]
    gradient = gradient.detach()
    step = gradient / torch.linalg.vector_norm(gradient, dim=1, keepdim=True).clamp_min(
        _SMALLEST_GRADIENT
    )
    rows = torch.arange(height, dtype=strength.dtype, device=strength.device)
    columns = torch.arange(width, dtype=strength.dtype, device=strength.device)
    here = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))
    size = strength.new_tensor([width, height]).view(1, 2, 1, 1)
    maximum = torch.ones_like(strength)
    for sign in (-1, 1):
        # grid_sample has coordinates from -1 to 1 across the area of the pixels.
        places = (2 * (here + sign * step) + 1) / size - 1
        beside = F.grid_sample(
            strength, places.permute(0, 2, 3, 1), padding_mode="border", align_corners=False
        )
        excess = (strength - beside) / (_SOFTNESS * strength.clamp_min(_WEAK))
        maximum = maximum * torch.sigmoid(excess + _EQUAL_IS_MAXIMUM)
    return maximum


def _hysteresis(strength: Tensor) -> Tensor:
    """Return where the strength is above the weak threshold and connected to a strong edge."""
    weak = torch.sigmoid((strength - _WEAK) / _SOFTNESS)
    joined = torch.sigmoid((strength - _STRONG) / _SOFTNESS)
    for _ in range(_HYSTERESIS_STEPS):
        joined = torch.maximum(joined, weak * F.max_pool2d(joined, 3, stride=1, padding=1))
    return joined
