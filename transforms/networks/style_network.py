"""The base of the style networks: convolutions, each normalized over the whole image.

A network defines its convolutions as lists of stages. This module applies them to whole images, and
`stylebeam.transforms.inference.tiling` to images in tiles.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.networks.layers import instance_norm
from stylebeam.transforms.networks.space_to_depth import depth_to_space

STRIDE = 4
"""The side in pixels of the blocks of the image that are one position between head and tail."""


class Stage(NamedTuple):
    """A convolution, and the scale and shift of the normalization that follows it.

    Attributes:
        convolve: the convolution of features, shape (B, C, H, W), including the padding.
        scale: for each image or for all, shape (B, C) or (1, C).
        shift: of the same shape.
        epsilon: added to the variance.
        resolution: the side of a block in the output of the convolution: 1, 2 or 4.
        reach: radius of the convolution's kernels, in positions of its input.
    """

    convolve: Callable[[Tensor], Tensor]
    scale: Tensor
    shift: Tensor
    epsilon: float
    resolution: int = 1
    reach: int = 1


Normalize = Callable[[Stage, Tensor], Tensor]
"""A function of a stage and the output of its convolution that returns the output normalized."""


def normalize_by_image(stage: Stage, features: Tensor) -> Tensor:
    """Return features of whole images, each normalized with its own statistics."""
    return instance_norm(features, stage.scale, stage.shift, stage.epsilon)


def apply_stages(stages: Iterable[Stage], x: Tensor, normalize: Normalize) -> Tensor:
    """Apply stages to features, each followed by a ReLU."""
    for stage in stages:
        x = F.relu(normalize(stage, stage.convolve(x)))
    return x


class StyleNetwork(nn.Module, ABC):
    """A network of a head, residual blocks at a quarter of the resolution (the body), and a tail.

    Attributes:
        channels: number of channels of the body.
        peak_values: values in memory per pixel of the image at the peak, at least.
        frame: width in pixels, a multiple of STRIDE, of the reflected frame that is added around an
            image and cut off from the result. A network can recognize the border of an image by the
            padding, and learns to draw features of the painting there, such as a yellow edge. (The
            program of Johnson et al. 2016 pads images by 40 pixels.)
        head_reach: radius of the receptive field of the head, in blocks, without normalization.
        tail_reach: radius of the receptive field of the tail and what follows, in blocks, without
            normalization.
    """

    channels: int
    peak_values: int
    frame: int
    head_reach: int
    tail_reach: int

    @property
    def style_size(self) -> int:
        """The length of a style's vector: 0 for a network of a single style."""
        return 0

    def packed(self, framed: Tensor) -> Tensor:
        """Return framed images, shape (B, H, W, 3), in the layout that the head takes.

        Returns:
            The same values, shape (B, H', W', C).
        """
        return framed

    @abstractmethod
    def head(self, styles: Tensor) -> list[Stage]:
        """Return the stages from packed RGB in [-1, 1] to a quarter of the resolution.

        Args:
            styles: the style of each image or of all, shape (B, style_size) or (1, style_size).
        """

    @abstractmethod
    def body(self, styles: Tensor) -> list[tuple[Stage, Stage]]:
        """Return the residual blocks, of two stages each, without a ReLU after the sum."""

    @abstractmethod
    def tail(self, styles: Tensor) -> list[Stage]:
        """Return the stages from a quarter of the resolution towards the full resolution."""

    def output(self, styles: Tensor) -> Stage | None:
        """Return a stage after the tail, without a ReLU; None if the network has none."""
        return None

    @abstractmethod
    def finish(self, x: Tensor, styles: Tensor) -> Tensor:
        """Return RGB in space-to-depth layout, to be clipped to [0, 1].

        Args:
            x: the output of the tail, or of the stage after it.
            styles: as in `head`.

        Returns:
            Shape (B, 3 STRIDE^2, H / STRIDE, W / STRIDE), in row-major order.
        """

    def transform(self, packed: Tensor, styles: Tensor, normalize: Normalize) -> Tensor:
        """Return RGB in space-to-depth layout; it may be padded at the right and the bottom.

        Args:
            packed: RGB in [0, 1] of framed images, shape (B, C, H', W').
            styles: as in `head`.
            normalize: called for every stage, in order.
        """
        x = apply_stages(self.head(styles), 2 * packed - 1, normalize)
        for first, second in self.body(styles):
            between = apply_stages([first], x, normalize)
            x = x + normalize(second, second.convolve(between))
        x = apply_stages(self.tail(styles), x, normalize)
        output = self.output(styles)
        if output is not None:
            x = normalize(output, output.convolve(x))
        return self.finish(x, styles)

    def forward(self, images: Tensor, styles: Tensor) -> Tensor:
        """Return the stylized images.

        Args:
            images: RGB in [0, 1], shape (B, 3, H, W), each side at least
                `stylebeam.transforms.networks.MIN_SIDE`.
            styles: as in `head`.

        Returns:
            RGB of the same shape, to be clipped to [0, 1].
        """
        height, width = images.shape[-2:]
        packed = self.packed(framed(images, self.frame).permute(0, 2, 3, 1))
        blocks = self.transform(packed.permute(0, 3, 1, 2), styles, normalize_by_image)
        stylized = unpacked(blocks.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        first = self.frame
        return stylized[..., first : first + height, first : first + width]


def unpacked(blocks: Tensor) -> Tensor:
    """Return images, (B, H', W', 3), from space-to-depth layout, (B, H, W, 3 STRIDE^2)."""
    return depth_to_space(blocks, STRIDE)


def framed(images: Tensor, frame: int) -> Tensor:
    """Return images, shape (B, C, H, W), reflected into a frame and padded to whole blocks."""
    reflected = F.pad(images, [frame] * 4, mode="reflect")
    height, width = reflected.shape[-2:]
    return F.pad(reflected, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
