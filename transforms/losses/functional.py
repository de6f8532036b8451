"""Perceptual losses as pure functions of features and images.

Features are activations of a loss network, images are RGB; both are tensors of shape
(B, C, H, W). Every loss is a scalar, the mean over the batch, and summed in float32 or wider
whatever the precision of its input.

References: Gatys et al. 2016, "Image Style Transfer Using Convolutional Neural Networks";
Johnson et al. 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution".
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.losses.distances import SQUARED_ERROR, Distance

# The number of values that are converted to float32 together: they fit in the processor's cache.
_VALUES_AT_ONCE = 2**21
# Blocks of rows of a Gram matrix. More and narrower ones would skip more of its lower triangle, but
# multiply less efficiently.
_GRAM_BLOCKS, _LEAST_CHANNELS = 4, 16

_GRID_PERIOD, _GRID_WINDOW = 4, 32  # pixels


def _at_least_float32(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


class _GramMatrix(torch.autograd.Function):
    """F F^T / (C H W) of features, and its gradient (D + D^T) F / (C H W).

    autograd's own gradient multiplies F twice and in float32. One product with the symmetric part
    is enough, in the precision of the features, to which the gradient is rounded in any case.
    Features are processed a few rows at a time, so that no copy of them is written. Little more
    than one half of the symmetric matrix is computed.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        batch, channels, height, width = features.shape
        ctx.save_for_backward(features)
        dtype = torch.promote_types(features.dtype, torch.float32)
        gram = features.new_zeros((batch, channels, channels), dtype=dtype)
        block = max(_LEAST_CHANNELS, math.ceil(channels / _GRAM_BLOCKS))
        for some in _positions(features):
            wide = some.to(dtype).flatten(1, 2)
            for first in range(0, channels, block):
                rows = slice(first, first + block)
                gram[:, rows, first:].baddbmm_(wide[..., rows].mT, wide[..., first:])
        return (gram.triu() + gram.triu(1).mT) / (channels * height * width)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        _, channels, height, width = features.shape
        symmetric = (gradient + gradient.mT) / (channels * height * width)
        # Entries of the gradient can be below 6e-8, the smallest number in float16.
        dtype = torch.float32 if features.dtype == torch.float16 else features.dtype
        symmetric = symmetric.to(dtype)
        product = torch.empty_like(features, memory_format=torch.channels_last)
        for some, values in zip(_positions(product), _positions(features), strict=True):
            some.copy_((values.to(dtype).flatten(1, 2) @ symmetric).view(some.shape))
        return product


def _positions(features: Tensor) -> tuple[Tensor, ...]:
    """Split features, shape (B, C, H, W), into views of some rows, shape (B, rows, W, C)."""
    rows_at_once = _VALUES_AT_ONCE // features[:, :, 0].numel()
    return features.permute(0, 2, 3, 1).split(max(1, rows_at_once), 1)


def gram_matrix(features: Tensor, readout: Tensor | None = None) -> Tensor:
    """Return the normalized Gram matrix of features, Johnson et al. 2016, equation (3).

        G_ij = 1 / (C H W) * sum over h, w of F_ihw * F_jhw

    Args:
        features: activations, shape (B, C, H, W).
        readout: R, shape (C, C), a linear map of the features; the result is the Gram matrix of
            R F, computed as R G R^T.

    Returns:
        Symmetric matrices, shape (B, C, C), float32 or wider.
    """
    gram: Tensor = _GramMatrix.apply(features)
    if readout is None:
        return gram
    readout = readout.to(gram.dtype)
    return readout @ gram @ readout.mT


def feature_reconstruction_loss(
    features: Tensor,
    target: Tensor,
    readout: Tensor | None = None,
    distance: Distance = SQUARED_ERROR,
    count: float | None = None,
) -> Tensor:
    """Return the distance between features, per entry; Johnson et al. 2016, equation (2).

        l_feat = 1 / (C H W) * ||F - P||^2

    Args:
        features: of the image, shape (B, C, H, W).
        target: features of the photo, of the same shape.
        readout: R, shape (C, C), a linear map of the features: the distance is between R F and R P.
        distance: the squared error, as above, or another.
        count: the divisor of the sum, by default C H W.
    """
    if readout is not None:
        features, target = _read(features, readout), _read(target, readout)
    return distance(features, target, count=count or features[0].numel()).mean()


def pixel_loss(images: Tensor, target: Tensor, distance: Distance = SQUARED_ERROR) -> Tensor:
    """Return the distance between images, per value; Johnson et al. 2016, section 3.2.

        l_pixel = 1 / (C H W) * ||y - t||^2

    Args:
        images: RGB images, shape (B, 3, H, W).
        target: the true images, of the same shape.
        distance: the squared error, as above, or another.
    """
    return distance(images, target, count=images[0].numel()).mean()


def style_reconstruction_loss(
    gram: Tensor, target: Tensor, distance: Distance = SQUARED_ERROR
) -> Tensor:
    """Return the distance between Gram matrices; Johnson et al. 2016, equation (4).

        l_style = ||G - A||_F^2

    Args:
        gram: Gram matrices of the images, shape (B, C, C).
        target: Gram matrices of the paintings, shape (B, C, C) or (1, C, C).
        distance: the squared Frobenius norm, as above, or another.
    """
    return distance(gram, target).mean()


def total_variation_loss(images: Tensor) -> Tensor:
    """Return the sum of squared differences between neighboring pixels, per pixel.

        l_TV = 1 / (H W) * sum over c, h, w of (y_c,h+1,w - y_c,h,w)^2 + (y_c,h,w+1 - y_c,h,w)^2

    Args:
        images: RGB images, shape (B, 3, H, W).
    """
    images = _at_least_float32(images)
    batch, _, height, width = images.shape
    down = torch.sum((images[:, :, 1:, :] - images[:, :, :-1, :]) ** 2)
    right = torch.sum((images[:, :, :, 1:] - images[:, :, :, :-1]) ** 2)
    return (down + right) / (batch * height * width)


def grid_loss(images: Tensor) -> Tensor:
    """Return the power of patterns that repeat every 4 pixels, which upsampling can leave.

    Networks that work at a half and a quarter of the resolution can repeat the same differences in
    each block of 4x4 pixels (Odena et al. 2016, "Deconvolution and Checkerboard Artifacts"). With
    frequencies k and l from 0 to 3 in units of 1/4,

        l_grid = mean over windows of the sum over (k, l) != (0, 0) of
                 |sum over a, b of w_a w_b y_ab exp(2 pi i (k a + l b) / 4)|^2

    where w is a Hann window of 32 pixels that sums to 1. There is a window every 8 pixels in each
    channel, so that grids with opposite signs in different places do not cancel. A cosine of
    amplitude A across the image has the loss A^2 / 2.

    Args:
        images: RGB images, shape (B, 3, H, W), each side at least 32.
    """
    images = _at_least_float32(images)
    pixels = torch.arange(_GRID_WINDOW, dtype=images.dtype, device=images.device)
    window = 2 / _GRID_WINDOW * torch.sin(torch.pi * pixels / _GRID_WINDOW) ** 2
    angles = 2 * torch.pi / _GRID_PERIOD * pixels
    waves = window * torch.exp(1j * torch.outer(pixels[:_GRID_PERIOD], angles))
    kernels = torch.einsum("ka,lb->klab", waves, waves).flatten(0, 1)[1:, None]
    channels = images.flatten(0, 1)[:, None]
    real, imaginary = (
        F.conv2d(channels, part, stride=_GRID_WINDOW // 4) for part in (kernels.real, kernels.imag)
    )
    return (real.square() + imaginary.square()).sum(1).mean()


def _read(features: Tensor, readout: Tensor) -> Tensor:
    """Multiply features, shape (B, C, H, W), by a readout, shape (C, C), in float32 or wider."""
    features = _at_least_float32(features)
    return F.conv2d(features, readout.to(features.dtype)[:, :, None, None])
