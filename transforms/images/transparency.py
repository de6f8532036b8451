"""The colors of transparent pixels."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

# About this many pixels are processed at a time at full resolution, as floats. The first step is
# larger than the others, so that an image of one sixteenth of the pixels is all that is kept.
_BLOCK, _FIRST = 2**22, 4


def fill_transparent(pixels: Tensor, alpha: Tensor) -> Tensor:
    """Return pixels where those that are fully transparent have colors of the visible ones nearby.

    What is stored there is invisible, and arbitrary: often black or white, sometimes a whole
    hidden image. A network would see it, and mix it into the visible pixels beside it.

    The visible pixels are averaged at a quarter, an eighth, ... of the size, until every pixel has
    a color; then each transparent pixel gets the color of the smallest such area around it. The
    time is linear in the number of pixels.

    Args:
        pixels: RGB, uint8 or uint16, shape (3, H, W).
        alpha: opacity, shape (1, H, W).

    Returns:
        The pixels; the same tensor if nothing is transparent, or if everything is.
    """
    # Not all operations of PyTorch support uint16.
    visible = (alpha.view(torch.int16) if alpha.dtype == torch.uint16 else alpha) != 0
    if visible.all() or not visible.any():
        return pixels
    height, width = pixels.shape[1:]
    rows = _FIRST * max(1, _BLOCK // width // _FIRST)
    blocks = [slice(top, top + rows) for top in range(0, height, rows)]
    reduced = [
        _reduced(pixels[:, rows].float(), visible[:, rows].float(), _FIRST) for rows in blocks
    ]
    colors = _filled(
        torch.cat([color for color, _ in reduced], dim=1),
        torch.cat([weight for _, weight in reduced], dim=1),
    ).round()
    filled = pixels.clone()
    for block in blocks:
        near = colors[:, block.start // _FIRST : block.stop // _FIRST]
        near = near.repeat_interleave(_FIRST, 1).repeat_interleave(_FIRST, 2)
        own, seen = pixels[:, block], visible[:, block]
        near = near[:, : own.shape[1], :width]
        filled[:, block] = torch.where(seen, own.float(), near).to(pixels.dtype)
    return filled


def _reduced(colors: Tensor, weight: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Return the mean color of the visible pixels in every square, and whether there are any.

    Args:
        colors: shape (3, H, W).
        weight: 1 for visible pixels, 0 for others; shape (1, H, W).
        factor: the side of a square in pixels.
    """
    sums, count = (
        avg_pool2d(values, factor, ceil_mode=True) for values in (colors * weight, weight)
    )
    return torch.where(count > 0, sums / count, 0), (count > 0).float()


def _filled(colors: Tensor, weight: Tensor) -> Tensor:
    """Return colors where the invisible ones are interpolated from a smaller image.

    Args:
        colors: shape (3, H, W).
        weight: 1 for visible pixels, 0 for others; shape (1, H, W); at least one is 1.
    """
    if weight.all():
        return colors
    smaller = _filled(*_reduced(colors, weight, 2))
    near = interpolate(smaller[None], size=colors.shape[1:], mode="bilinear")[0]
    return torch.where(weight > 0, colors, near)
