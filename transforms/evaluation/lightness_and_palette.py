"""How a picture's lightness and palette compare with a painting's, in CIELAB."""

import torch
import torch.nn.functional as F
from torch import Tensor

# IEC 61966-2-1: linear sRGB to CIE XYZ, relative to the white point D65.
_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
_WHITE = (0.9505, 1.0, 1.089)

_LARGEST_SIDE = 256  # of the thumbnails that palettes are taken from, in pixels
_DIRECTIONS, _QUANTILES = 64, 99
_SEED = 0


def lab(images: Tensor) -> Tensor:
    """Return images in CIELAB (CIE 1976 L*a*b*, white point D65).

    Args:
        images: sRGB in [0, 1], shape (B, 3, H, W).

    Returns:
        Of the same shape: L* from 0 to 100, a* and b* from about -128 to 128.
    """
    images = images.double().clamp(0, 1)
    linear = torch.where(images <= 0.04045, images / 12.92, ((images + 0.055) / 1.055) ** 2.4)
    to_xyz = images.new_tensor(_XYZ) / images.new_tensor(_WHITE)[:, None]
    ratio = torch.einsum("xc,bchw->bxhw", to_xyz, linear)
    epsilon, kappa = (6 / 29) ** 3, (29 / 3) ** 3
    x, y, z = torch.where(ratio > epsilon, ratio ** (1 / 3), (kappa * ratio + 16) / 116).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def tone(picture: Tensor, painting: Tensor) -> float:
    """Return the standard deviation of a picture's lightness L*, relative to the painting's.

    Below 1 the picture is flatter than the painting.

    Args:
        picture: RGB in [0, 1], shape (1, 3, H, W).
        painting: RGB in [0, 1], shape (1, 3, H', W'); not constant.
    """
    deviation, of_painting = (lab(image)[:, 0].std(correction=0) for image in (picture, painting))
    return (deviation / of_painting).item()


def palette_distance(picture: Tensor, painting: Tensor) -> float:
    """Return the sliced Wasserstein distance of a picture's colors from the painting's, in CIELAB.

    The mean absolute difference of 99 quantiles in 64 random directions, of thumbnails; 0 for equal
    palettes, and about half of the shift of L*, a* or b* if all colors are shifted along one.

    Args:
        picture: RGB in [0, 1], shape (1, 3, H, W).
        painting: RGB in [0, 1], shape (1, 3, H', W').
    """
    generator = torch.Generator().manual_seed(_SEED)
    directions = F.normalize(torch.randn(_DIRECTIONS, 3, generator=generator).double(), dim=1)
    steps = torch.linspace(0.01, 0.99, _QUANTILES, dtype=torch.double)
    quantiles = [
        torch.quantile(directions @ lab(_thumbnail(image.cpu()))[0].flatten(1), steps, dim=1)
        for image in (picture, painting)
    ]
    return (quantiles[0] - quantiles[1]).abs().mean().item()


def _thumbnail(image: Tensor) -> Tensor:
    scale = _LARGEST_SIDE / max(image.shape[2:])
    if scale >= 1:
        return image
    size = [max(1, round(scale * side)) for side in image.shape[2:]]
    return F.interpolate(image, size, mode="bilinear", antialias=True)
