"""Convolutions of blocks: the pixels of a block are channels of one place.

At full resolution there are few channels and many places, for which processors take several times
as long as for the same numbers as many channels at few places.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.networks.layers import Convolution, regular


def convolve_blocks(x: Tensor, layer: nn.Conv2d, side: int) -> Tensor:
    """Return a 3x3 convolution at the blocks' resolution.

    One kernel of 3x3 blocks makes all that becomes of a block.

    Args:
        x: of shape (B, side^2 C_in, H, W), the channels of a block's pixels one after the other, by
            quadrants: those of the upper left quadrant first, and of it the upper left pixel or
            quadrant first. Blocks go on beyond the border.
        layer: the convolution.
        side: of a block, in pixels: 1, 2 or 4.

    Returns:
        Shape (B, side^2 C_out, H, W), the channels of a block's pixels one after the other, row by
        row.
    """
    kernels = _kernels_of_blocks(layer, side, upsampled=1).flatten(0, 1)
    _, bias = regular(layer)
    return F.conv2d(F.pad(x, [1] * 4, mode="replicate"), kernels, bias.repeat(side**2))


def upsample_blocks(x: Tensor, layer: nn.Conv2d, side: int) -> Tensor:
    """Return a 3x3 convolution, of features upsampled twofold, at the blocks' resolution.

    Upsampling is by nearest neighbours: what a quadrant of a block becomes depends on 2x2 blocks
    alone.

    Args:
        x: as `convolve_blocks` takes it.
        layer: the convolution.
        side: of a block of the features, in pixels: 1 or 2.

    Returns:
        Likewise by quadrants, shape (B, (2 side)^2 C_out, H, W).
    """
    kernels = _kernels_of_blocks(layer, side, upsampled=2)[_by_quadrants(2 * side)]
    bias = regular(layer)[1].repeat(side**2)
    made = []
    for quadrant, of_pixels in enumerate(kernels.chunk(4)):
        below, right = divmod(quadrant, 2)
        around = F.pad(x, (1 - right, right, 1 - below, below), mode="replicate")
        met = of_pixels.flatten(0, 1)[..., below : below + 2, right : right + 2]
        made.append(F.conv2d(around, met, bias))
    return torch.cat(made, 1)


def convolve_to_blocks(x: Tensor, layer: Convolution, side: int) -> Tensor:
    """Return a convolution with reflection padding, in blocks.

    Processors compute some 16 channels at a time, used or not. For the three colours of a pixel
    that takes several times as long as for all colours of a block, whose pixels see much the same.

    Args:
        x: of shape (B, C_in, H, W), of whole blocks.
        layer: the convolution, of stride 1.
        side: of a block, in pixels.

    Returns:
        Shape (B, side^2 C_out, H / side, W / side), the channels of a block's pixels one after the
        other, row by row.
    """
    kernels, bias = regular(layer)
    last = side - 1
    of_pixels = [
        F.pad(kernels, (column, last - column, row, last - row))
        for row in range(side)
        for column in range(side)
    ]
    continued = F.pad(x, [kernels.shape[-1] // 2] * 4, mode="reflect")
    return F.conv2d(continued, torch.cat(of_pixels), bias.repeat(side**2), stride=side)


def pixels_of_blocks(x: Tensor, side: int) -> Tensor:
    """Return the pixels of blocks.

    Args:
        x: of shape (B, H, W, side^2 C), the channels of a block's pixels one after the other, row
            by row.
        side: of a block, in pixels.

    Returns:
        Shape (B, side H, side W, C).
    """
    blocks = x.unflatten(3, (side, side, -1))
    return blocks.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _kernels_of_blocks(layer: nn.Conv2d, side: int, upsampled: int) -> Tensor:
    """Return a 3x3 convolution's kernels of 3x3 blocks, of upsampled features.

    Returns:
        Shape ((upsampled side)^2, C_out, side^2 C_in, 3, 3): for the output's pixels, row by row,
        and channels; of the input's pixels, by quadrants, and channels; in 3x3 blocks.
    """
    met = layer.weight.new_tensor(_pixels_met(side, upsampled))
    # For output pixel (p, q), channel o: of input pixel (r, s), channel i, in the block at (a, b).
    kernels = torch.einsum("pard,qbse,oide->pqorsiab", met, met, layer.weight)
    by_pixels = kernels.flatten(3, 4).flatten(0, 1)
    return by_pixels[:, :, _by_quadrants(side)].flatten(2, 3)


def _by_quadrants(side: int) -> list[int]:
    """Return which pixel of a block, counted row by row, each is that is counted by quadrants."""
    places = [(0, 0)]
    for half in (1, 2):
        if half < side:
            corners = [(row, column) for row in (0, half) for column in (0, half)]
            places = [(top + row, left + column) for top, left in corners for row, column in places]
    return [side * row + column for row, column in places]


def _pixels_met(side: int, upsampled: int) -> list[list[list[list[float]]]]:
    """Return on which pixels the rows of a 3x3 kernel fall.

    Returns:
        For each row p of a block of the output, each of three blocks, each row r of them and each
        row d of the kernel: 1 where d falls on r, else 0.
    """
    return [
        [
            [
                [float((p + d) // upsampled == side * block + r) for d in (-1, 0, 1)]
                for r in range(side)
            ]
            for block in (-1, 0, 1)
        ]
        for p in range(upsampled * side)
    ]
