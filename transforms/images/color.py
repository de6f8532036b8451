"""Style transfer that keeps a photo's colours, in pure torch.

There are two ways, and what either needs is here. Colour histogram matching gives the painting the
photo's colours before its style is transferred: `match_colors`. Luminance-only transfer transfers
the style between `match_luminance` and `to_gray`, and gives the result the photo's colours:
`with_colors_of`.

Images are RGB in [0, 1], float32 or wider.

Reference: Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer".
"""

import torch
from torch import Tensor

# Of YIQ, ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)

# The most variance that rounding to 8 bits, by half a level, gives a painting of one colour. Scaled
# to the photo's variance it would be visible as noise.
_ROUNDING = (0.5 / 255) ** 2


def luminance(images: Tensor) -> Tensor:
    """Return the luma Y of YIQ.

        Y = 0.299 R + 0.587 G + 0.114 B

    Args:
        images: RGB in [0, 1], shape (B, 3, H, W).

    Returns:
        In [0, 1], shape (B, 1, H, W).
    """
    # No convolution: on a GPU that may round float32 to 10 bits.
    return (images * images.new_tensor(_LUMA).view(3, 1, 1)).sum(1, keepdim=True)


def to_gray(images: Tensor) -> Tensor:
    """Return the luminance as RGB, what luminance-only transfer takes as its photo.

    Args:
        images: RGB in [0, 1], shape (B, 3, H, W).

    Returns:
        RGB in [0, 1] whose channels are equal, of the same shape.
    """
    return luminance(images).repeat(1, 3, 1, 1)


def with_colors_of(images: Tensor, photos: Tensor) -> Tensor:
    """Return images with the colours of photos: the last step of luminance-only transfer.

        Y' = Y of the image, (I', Q') = t (I, Q) of the photo

    t is 1 wherever that is an RGB colour. Where it is none, since bright and dark leave less room
    for colour, t is the largest number in [0, 1] that makes it one: hue and luminance are kept, and
    saturation is not.

    Args:
        images: RGB in [0, 1], shape (B, 3, H, W).
        photos: RGB in [0, 1], of the same shape.

    Returns:
        RGB in [0, 1], of the same shape.
    """
    # I and Q of a grey are 0: a colour less the grey of its luminance is its I and Q, in RGB.
    luma = luminance(images)
    chroma = photos - luminance(photos)
    room = torch.where(chroma > 0, 1 - luma, luma)
    largest = torch.where(chroma.abs() > room, room / chroma.abs(), 1).amin(1, keepdim=True)
    return (luma + largest * chroma).clamp(0, 1)


def match_luminance(styles: Tensor, photos: Tensor) -> Tensor:
    """Return the luminance of paintings with the mean and standard deviation of the photos'.

        L_S' = sigma_C / sigma_S (L_S - mu_S) + mu_C

    clipped to [0, 1]. A painting of one luminance, up to rounding to 8 bits, becomes mu_C.

    Args:
        styles: the paintings, RGB in [0, 1], shape (B, 3, H, W) or (1, 3, H, W).
        photos: RGB in [0, 1], shape (B, 3, H', W').

    Returns:
        RGB in [0, 1] whose channels are equal, shape (B, 3, H, W).
    """
    return _matched(luminance(styles), luminance(photos)).repeat(1, 3, 1, 1)


def match_colors(styles: Tensor, photos: Tensor) -> Tensor:
    """Return paintings with the mean and covariance of the photos' colours.

        x' = A x + b,  A = Sigma_C^1/2 Sigma_S^-1/2,  b = mu_C - A mu_S

    clipped to [0, 1]. The square roots are symmetric, which is the paper's "Image Analogies" form.
    Its other, by Cholesky's L_C L_S^-1, depends on which channel comes first, and does not exist
    for a grey painting.

    Sigma_S^-1/2 is 0 along axes on which the painting does not vary, up to rounding to 8 bits: a
    grey painting is tinted by its luminance alone, and a painting of one colour becomes mu_C.

    Args:
        styles: the paintings, RGB in [0, 1], shape (B, 3, H, W) or (1, 3, H, W).
        photos: RGB in [0, 1], shape (B, 3, H', W').

    Returns:
        RGB in [0, 1], shape (B, 3, H, W).
    """
    return _matched(styles, photos)


def _matched(styles: Tensor, photos: Tensor) -> Tensor:
    """Map the channels of styles linearly to the mean and covariance of those of photos."""
    style_centered, _, style_variances, style_axes = _principal_axes(styles)
    _, photo_mean, photo_variances, photo_axes = _principal_axes(photos)
    inverse = torch.where(style_variances > _ROUNDING, style_variances.rsqrt(), 0)
    whitening = _symmetric(style_axes, inverse)
    coloring = _symmetric(photo_axes, photo_variances.clamp(min=0).sqrt())
    matched = coloring @ whitening @ style_centered + photo_mean
    return matched.clamp(0, 1).to(styles.dtype).unflatten(2, styles.shape[2:])


def _principal_axes(images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return pixels less their mean, the mean, and eigenvalues and -vectors of their covariance.

    In float64: a grey photo would tint what is matched to it by the root of what float32 adds to
    its covariance by rounding.

    Args:
        images: shape (B, C, H, W).

    Returns:
        Shapes (B, C, H W), (B, C, 1), (B, C) and (B, C, C).
    """
    pixels = images.flatten(2).double()
    mean = pixels.mean(2, keepdim=True)
    centered = pixels - mean
    variances, axes = torch.linalg.eigh(centered @ centered.mT / pixels.shape[2])
    return centered, mean, variances, axes


def _symmetric(axes: Tensor, eigenvalues: Tensor) -> Tensor:
    return axes * eigenvalues.unsqueeze(1) @ axes.mT
