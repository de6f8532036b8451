"""Convolutions in space-to-depth layout: the pixels of a block are channels of one position.

At full resolution, features have few channels at many positions, for which processors take several
times as long as for the same number of values with many channels at few positions.

There are two orders of the channels in a block of side x side pixels. In *row-major* order they are
the channels of the block's pixels, row by row. In *nested* order they are those of space to depth
by 2, applied log2(side) times: upsampling by 2 splits each position into its four quadrants, whose
channels are then adjacent. For a side of 1 or 2 the orders are the same.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.networks.layers import Convolution, kernels_and_bias


def convolve_space_to_depth(x: Tensor, layer: nn.Conv2d, side: int) -> Tensor:
    """Return a 3x3 convolution of features in space-to-depth layout.

    Args:
        x: of shape (B, side^2 C_in, H, W), in nested order. Blocks are replicated at the border.
        layer: the convolution.
        side: of a block in pixels: 1, 2 or 4.

    Returns:
        Shape (B, side^2 C_out, H, W), in row-major order.
    """
    kernels = _block_kernels(layer, side, upsampled=1).flatten(0, 1)
    _, bias = kernels_and_bias(layer)
    return F.conv2d(F.pad(x, [1] * 4, mode="replicate"), kernels, bias.repeat(side**2))


def upsample_space_to_depth(x: Tensor, layer: nn.Conv2d, side: int) -> Tensor:
    """Return a 3x3 convolution of features upsampled by 2, all in space-to-depth layout.

    Upsampling is nearest neighbor, so each quadrant of an output block depends on only 2x2 blocks.

    Args:
        x: of shape (B, side^2 C_in, H, W), in nested order. Blocks are replicated at the border.
        layer: the convolution.
        side: of a block of the input in pixels: 1 or 2.

    Returns:
        Shape (B, (2 side)^2 C_out, H, W), in nested order.
    """
    kernels = _block_kernels(layer, side, upsampled=2)[_nested_order(2 * side)]
    bias = kernels_and_bias(layer)[1].repeat(side**2)
    quadrants = []
    for quadrant, quadrant_kernels in enumerate(kernels.chunk(4)):
        below, right = divmod(quadrant, 2)
        padded = F.pad(x, (1 - right, right, 1 - below, below), mode="replicate")
        nonzero = quadrant_kernels.flatten(0, 1)[..., below : below + 2, right : right + 2]
        quadrants.append(F.conv2d(padded, nonzero, bias))
    return torch.cat(quadrants, 1)


def convolve_to_depth(x: Tensor, layer: Convolution, side: int) -> Tensor:
    """Return a convolution with reflection padding, its output in space-to-depth layout.

    Processors compute about 16 channels at a time, used or not. The three colors of one pixel
    therefore take several times as long as the colors of all pixels of a block, which depend on
    nearly the same inputs.

    Args:
        x: of shape (B, C_in, H, W), H and W multiples of `side`.
        layer: the convolution, of stride 1.
        side: of a block in pixels.

    Returns:
        Shape (B, side^2 C_out, H / side, W / side), in row-major order.
    """
    kernels, bias = kernels_and_bias(layer)
    last = side - 1
    pixel_kernels = [
        F.pad(kernels, (column, last - column, row, last - row))
        for row in range(side)
        for column in range(side)
    ]
    padded = F.pad(x, [kernels.shape[-1] // 2] * 4, mode="reflect")
    return F.conv2d(padded, torch.cat(pixel_kernels), bias.repeat(side**2), stride=side)


def depth_to_space(x: Tensor, side: int) -> Tensor:
    """Return features in space-to-depth layout as pixels.

    Args:
        x: of shape (B, H, W, side^2 C), in row-major order.
        side: of a block in pixels.

    Returns:
        Shape (B, side H, side W, C).
    """
    blocks = x.unflatten(3, (side, side, -1))
    return blocks.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _block_kernels(layer: nn.Conv2d, side: int, upsampled: int) -> Tensor:
    """Return the kernels of 3x3 blocks that compute a 3x3 convolution of upsampled features.

    Returns:
        Shape ((upsampled side)^2, C_out, side^2 C_in, 3, 3): the pixels of an output block in
        row-major order, their channels, the channels of an input block in nested order, and 3x3
        input blocks.
    """
    taps = layer.weight.new_tensor(_taps(side, upsampled))
    # For pixel (p, q) of an output block and channel o: the weights of pixel (r, s) of the input
    # block (a, b) and of channel i.
    kernels = torch.einsum("pard,qbse,oide->pqorsiab", taps, taps, layer.weight)
    row_major = kernels.flatten(3, 4).flatten(0, 1)
    return row_major[:, :, _nested_order(side)].flatten(2, 3)


def _nested_order(side: int) -> list[int]:
    """Return the row-major indices of the pixels of a block, in nested order."""
    pixels = [(0, 0)]
    for half in (1, 2):
        if half < side:
            corners = [(row, column) for row in (0, half) for column in (0, half)]
            pixels = [(top + row, left + column) for top, left in corners for row, column in pixels]
    return [side * row + column for row, column in pixels]


def _taps(side: int, upsampled: int) -> list[list[list[list[float]]]]:
    """Return which rows of the input the rows of a 3x3 kernel are applied to.

    Returns:
        For each row p of an output block, each of three input blocks, each row r of that block and
        each row d of the kernel: 1 if row d of the kernel at p is applied to row r, otherwise 0.
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
