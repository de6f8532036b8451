"""Perceptual losses as pure functions of features and images.

Features are activations of a loss network, images are RGB; both are tensors of shape
(B, C, H, W). Every loss is computed in float32 or wider whatever the precision of its input, and
returns a scalar: the mean over the batch.

References: Gatys et al. 2016, "Image Style Transfer Using Convolutional Neural Networks";
Johnson et al. 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution".
"""

import torch
from torch import Tensor


def _at_least_float32(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def gram_matrix(features: Tensor) -> Tensor:
    """Return the normalised Gram matrix of features, Johnson et al. 2016, equation (3).

        G_ij = 1 / (C H W) * sum over h, w of F_ihw * F_jhw

    Args:
        features: activations, shape (B, C, H, W).

    Returns:
        Symmetric matrices, shape (B, C, C), float32 or wider.
    """
    batch, channels, height, width = features.shape
    flat = _at_least_float32(features).reshape(batch, channels, height * width)
    return flat @ flat.transpose(1, 2) / (channels * height * width)


def feature_reconstruction_loss(features: Tensor, target: Tensor) -> Tensor:
    """Return the squared distance of two activations, Johnson et al. 2016, equation (2).

        l_feat = 1 / (C H W) * ||F - P||^2

    Args:
        features: activations of the image that is judged, shape (B, C, H, W).
        target: activations of the content image, of the same shape.
    """
    return torch.mean((_at_least_float32(features) - _at_least_float32(target)) ** 2)


def style_reconstruction_loss(gram: Tensor, target: Tensor) -> Tensor:
    """Return the squared Frobenius distance of Gram matrices, Johnson et al. 2016, equation (4).

        l_style = ||G - A||_F^2

    Args:
        gram: Gram matrices of the images that are judged, shape (B, C, C).
        target: Gram matrices of the style image, shape (B, C, C) or (1, C, C).
    """
    return torch.mean(torch.sum((gram - target) ** 2, dim=(1, 2)))


def total_variation_loss(images: Tensor) -> Tensor:
    """Return the squared differences of neighbouring pixels, per pixel, so that size cancels out.

        l_TV = 1 / (H W) * sum over c, h, w of (y_c,h+1,w - y_c,h,w)^2 + (y_c,h,w+1 - y_c,h,w)^2

    Args:
        images: RGB images, shape (B, 3, H, W).
    """
    images = _at_least_float32(images)
    batch, _, height, width = images.shape
    down = torch.sum((images[:, :, 1:, :] - images[:, :, :-1, :]) ** 2)
    right = torch.sum((images[:, :, :, 1:] - images[:, :, :, :-1]) ** 2)
    return (down + right) / (batch * height * width)
