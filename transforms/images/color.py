"""Color preservation: style transfer that keeps a photo's colors.

There are two methods (Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer"):

- Color matching: `match_colors` gives the painting the photo's colors before the transfer.
- Luminance-only transfer: the style of `match_luminance(painting)` is transferred to
  `to_gray(photo)`, and `with_colors_of` gives the result the photo's colors.

Images are RGB in [0, 1], float32 or float64. `keep_colors` is for pictures that are made already,
as integers of any size.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from stylebeam.transforms.images.pixels import from_unit_range, to_unit_range

KeptColors = Literal["luminance", "histogram"]
"""How the photo's colors are kept: all but its luminance, or their mean and covariance."""

# Rows of an image that are converted together.
_BAND = 256

# Weights of Y in YIQ (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)

# The largest variance of a constant image due to rounding to 8 bits, by half a level. If it were
# scaled to the photo's variance, it would be visible as noise.
_ROUNDING = (0.5 / 255) ** 2


def luminance(images: Tensor) -> Tensor:
    """Return the luma Y of YIQ.

        Y = 0.299 R + 0.587 G + 0.114 B

    Args:
        images: RGB in [0, 1], shape (B, 3, H, W).

    Returns:
        Luma in [0, 1], shape (B, 1, H, W).
    """
    # Not a convolution: on a GPU it may round float32 to TF32, which has 10 bits.
    return (images * images.new_tensor(_LUMA).view(3, 1, 1)).sum(1, keepdim=True)


def to_gray(images: Tensor) -> Tensor:
    """Return the luminance as RGB, the photo of luminance-only transfer.

    Args:
        images: RGB in [0, 1], shape (B, 3, H, W).

    Returns:
        RGB in [0, 1] with equal channels, same shape.
    """
    return luminance(images).repeat(1, 3, 1, 1)


def with_colors_of(images: Tensor, photos: Tensor) -> Tensor:
    """Return images with the colors of photos: the last step of luminance-only transfer.

        Y' = Y of the image, (I', Q') = t (I, Q) of the photo

    t is 1 where the result is inside the RGB cube. Very bright and very dark colors cannot be
    saturated; there t is the largest number in [0, 1] for which the result is inside the cube. This
    keeps hue and luminance, and reduces saturation.

    Args:
        images: RGB in [0, 1], shape (B, 3, H, W).
        photos: RGB in [0, 1], same shape.

    Returns:
        RGB in [0, 1], same shape.
    """
    # Gray has I = Q = 0. So a color minus its luminance is the I and Q part, in RGB.
    luma = luminance(images)
    chroma = photos - luminance(photos)
    room = torch.where(chroma > 0, 1 - luma, luma)
    largest = torch.where(chroma.abs() > room, room / chroma.abs(), 1).amin(1, keepdim=True)
    return (luma + largest * chroma).clamp(0, 1)


def match_luminance(styles: Tensor, photos: Tensor) -> Tensor:
    """Return paintings in gray, with the mean and standard deviation of the photos' luminance.

        L_S' = sigma_C / sigma_S (L_S - mu_S) + mu_C

    clipped to [0, 1]. A painting of constant luminance, up to rounding to 8 bits, becomes mu_C.

    Args:
        styles: the paintings, RGB in [0, 1], shape (B, 3, H, W) or (1, 3, H, W).
        photos: RGB in [0, 1], shape (B, 3, H', W').

    Returns:
        RGB in [0, 1] with equal channels, shape (B, 3, H, W).
    """
    return _matched(luminance(styles), luminance(photos)).repeat(1, 3, 1, 1)


def match_colors(styles: Tensor, photos: Tensor) -> Tensor:
    """Return paintings with the mean and covariance of the photos' colors.

        x' = A x + b,  A = Sigma_C^1/2 Sigma_S^-1/2,  b = mu_C - A mu_S

    clipped to [0, 1]. The square roots are symmetric, which is the paper's "Image Analogies" form.
    The paper's other form, by Cholesky factors, A = L_C L_S^-1, depends on the order of the
    channels and does not exist for a gray painting.

    Sigma_S^-1/2 is 0 along principal axes on which the painting does not vary, up to rounding to 8
    bits. So a gray painting gets one tint, and a constant painting becomes mu_C.

    Args:
        styles: the paintings, RGB in [0, 1], shape (B, 3, H, W) or (1, 3, H, W).
        photos: RGB in [0, 1], shape (B, 3, H', W').

    Returns:
        RGB in [0, 1], shape (B, 3, H, W).
    """
    return _matched(styles, photos)


def keep_colors(picture: Tensor, photo: Tensor, kept: KeptColors) -> Tensor:
    """Return a picture with the colors of its photo.

    Args:
        picture: RGB, uint8 or uint16 of shape (3, H, W).
        photo: RGB of the same type and shape.
        kept: `luminance` for the picture's luminance and the photo's hue and saturation
            (`with_colors_of`), `histogram` for the picture with the mean and covariance of the
            photo's colors (as `match_colors`).

    Returns:
        RGB of the same type and shape.
    """
    bands = zip(_bands(picture), _bands(photo), strict=True)
    if kept == "luminance":
        colored = (with_colors_of(*pair) for pair in bands)
    else:
        factor, offset = _color_map(*_color_moments(picture), *_color_moments(photo))
        colored = (
            torch.einsum("ij,bjhw->bihw", factor, band) + offset[:, None, None] for band, _ in bands
        )
    return torch.cat([from_unit_range(band[0], picture.dtype) for band in colored], 1)


def _bands(pixels: Tensor) -> Iterator[Tensor]:
    """Yield some rows of an image at a time, RGB in [0, 1], shape (1, 3, rows, W)."""
    for band in pixels.split(_BAND, 1):
        yield to_unit_range(band)[None]


def _color_moments(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean, shape (3,), and the covariance, (3, 3), of colors in [0, 1], in float64."""
    total, products = torch.zeros(3).double(), torch.zeros(3, 3).double()
    for band in _bands(pixels):
        values = band[0].flatten(1).double()
        total += values.sum(1)
        products += values @ values.mT
    count = pixels.shape[1] * pixels.shape[2]
    mean = total / count
    return mean, products / count - torch.outer(mean, mean)


def _color_map(
    mean: Tensor, covariance: Tensor, new_mean: Tensor, new_covariance: Tensor
) -> tuple[Tensor, Tensor]:
    """Return A, shape (3, 3), and b, shape (3,), of `match_colors`, in float32."""
    variances, axes = torch.linalg.eigh(covariance)
    new_variances, new_axes = torch.linalg.eigh(new_covariance)
    whitening = _symmetric(axes, torch.where(variances > _ROUNDING, variances.rsqrt(), 0))
    factor = _symmetric(new_axes, new_variances.clamp_min(0).sqrt()) @ whitening
    return factor.float(), (new_mean - factor @ mean).float()


def _matched(styles: Tensor, photos: Tensor) -> Tensor:
    """Map the channels of styles linearly to the mean and covariance of the photos' channels."""
    style_centered, _, style_variances, style_axes = _principal_axes(styles)
    _, photo_mean, photo_variances, photo_axes = _principal_axes(photos)
    inverse = torch.where(style_variances > _ROUNDING, style_variances.rsqrt(), 0)
    whitening = _symmetric(style_axes, inverse)
    coloring = _symmetric(photo_axes, photo_variances.clamp(min=0).sqrt())
    matched = coloring @ whitening @ style_centered + photo_mean
    return matched.clamp(0, 1).to(styles.dtype).unflatten(2, styles.shape[2:])


def _principal_axes(images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return centered pixels, their mean, and the eigenvalues and eigenvectors of the covariance.

    They are computed in float64, because with float32's rounding errors a gray photo would have a
    small variance in color, and its square root would be a visible tint.

    Args:
        images: shape (B, C, H, W).

    Returns:
        Float64, shapes (B, C, H * W), (B, C, 1), (B, C) and (B, C, C).
    """
    pixels = images.flatten(2).double()
    mean = pixels.mean(2, keepdim=True)
    centered = pixels - mean
    variances, axes = torch.linalg.eigh(centered @ centered.mT / pixels.shape[2])
    return centered, mean, variances, axes


def _symmetric(axes: Tensor, eigenvalues: Tensor) -> Tensor:
    """Return the symmetric matrices with these eigenvectors and eigenvalues."""
    return axes * eigenvalues.unsqueeze(-2) @ axes.mT
