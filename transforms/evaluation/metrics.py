"""Image quality metrics on luminance, for super-resolution: PSNR, SSIM and sharpness."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

# ITU-R BT.601: from RGB in [0, 1] to luma in [16, 235].
_LUMINANCE = (65.481, 128.553, 24.966)
_BLACK = 16.0
_PEAK = 255.0

# Wang et al. 2004, "Image Quality Assessment: From Error Visibility to Structural Similarity".
_WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2

_LAPLACIAN = [[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]


def psnr(images: Tensor, target: Tensor, border: int = 0) -> Tensor:
    """Return the peak signal-to-noise ratio of each image's luminance, in decibels.

    Args:
        images: RGB in [0, 1], shape (B, 3, H, W).
        target: the images they are compared with, same shape.
        border: pixels at each side that are ignored.

    Returns:
        Shape (B,); infinite for equal images.
    """
    difference = _luminance(images, border) - _luminance(target, border)
    return 10 * torch.log10(_PEAK**2 / difference.square().mean((1, 2, 3)))


def ssim(images: Tensor, target: Tensor, border: int = 0) -> Tensor:
    """Return the mean structural similarity of each image's luminance, at most 1.

    Args:
        images: RGB in [0, 1], shape (B, 3, H, W), each side at least 11 inside the border.
        target: the images they are compared with, same shape.
        border: pixels at each side that are ignored.

    Returns:
        Shape (B,).
    """
    x, y = _luminance(images, border), _luminance(target, border)
    mean_x, mean_y = _weighted_mean(x), _weighted_mean(y)
    variance_x = _weighted_mean(x * x) - mean_x**2
    variance_y = _weighted_mean(y * y) - mean_y**2
    covariance = _weighted_mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (variance_x + variance_y + _C2)
    return (luminance * structure).mean((1, 2, 3))


def sharpness(images: Tensor, target: Tensor, border: int = 0) -> Tensor:
    """Return the power of the Laplacian of each image's luminance, relative to the target's.

    Args:
        images: RGB in [0, 1], shape (B, 3, H, W), each side at least 3 inside the border.
        target: the images they are compared with, same shape; not constant.
        border: pixels at each side that are ignored.

    Returns:
        Shape (B,): below 1 for blurred images, above 1 for images sharper than the target.
    """

    def power(rgb: Tensor) -> Tensor:
        luminance = _luminance(rgb, border)
        laplacian = F.conv2d(luminance, luminance.new_tensor(_LAPLACIAN)[None, None])
        return laplacian.square().mean((1, 2, 3))

    return power(images) / power(target)


def _luminance(images: Tensor, border: int) -> Tensor:
    height, width = images.shape[2:]
    inside = images[:, :, border : height - border, border : width - border].double()
    weights = inside.new_tensor(_LUMINANCE).view(1, 3, 1, 1)
    return F.conv2d(inside, weights) + _BLACK


def _weighted_mean(values: Tensor) -> Tensor:
    """Return the Gaussian-weighted mean of every window that lies inside the image."""
    side = _WINDOW // 2
    blurred = gaussian_blur(values, [_WINDOW, _WINDOW], [_SIGMA, _SIGMA])
    return blurred[:, :, side:-side, side:-side]
