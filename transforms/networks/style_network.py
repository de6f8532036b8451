"""What the style networks have in common: convolutions, each normalised over the whole image.

A network says which convolutions, as lists of stages; how images pass through them is said once,
here for whole images and in `stylebeam.transforms.inference.tiling` for images in parts.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from stylebeam.transforms.networks.blocks import pixels_of_blocks
from stylebeam.transforms.networks.layers import instance_norm

STRIDE = 4
"""The resolution between head and tail is this part of the image's; a block has 4x4 pixels."""


class Stage(NamedTuple):
    """A convolution, and the scale and shift that follow its normalisation.

    Attributes:
        convolve: takes features, shape (B, C, H, W), and returns those that are normalised. Its
            padding continues them at their borders.
        scale: of the normalised channels, for each image or one for all, shape (B, C) or (1, C).
        shift: likewise.
        epsilon: is added to the variance.
        resolution: the side of a block in the features that are normalised: 1, 2 or 4.
    """

    convolve: Callable[[Tensor], Tensor]
    scale: Tensor
    shift: Tensor
    epsilon: float
    resolution: int = 1


Normalize = Callable[[Stage, Tensor], Tensor]
"""Takes a stage and what its convolution has returned; returns this normalised."""


def normalize_by_itself(stage: Stage, features: Tensor) -> Tensor:
    """Return features of whole images, normalised by their own statistics."""
    return instance_norm(features, stage.scale, stage.shift, stage.epsilon)


def rectified(stages: Iterable[Stage], x: Tensor, normalize: Normalize) -> Tensor:
    """Return what stages, each followed by a rectifier, make of features."""
    for stage in stages:
        x = F.relu(normalize(stage, stage.convolve(x)))
    return x


class StyleNetwork(nn.Module, ABC):
    """A network with residual blocks at a quarter of the resolution: head, body and tail.

    Attributes:
        channels: of the body.
        peak_values: how many values a pixel has, at least, where there are most.
        frame: the width of what is stylised around an image and cut off again, in pixels, a
            multiple of the stride. A network can tell the border of its picture by the padding, and
            learns to draw there what the painting has to have somewhere; a yellow edge, say. (The
            program of Johnson et al. 2016 pads images too, by 40 pixels.)
        head_reach: so many blocks away, at most, is what a block of the head's output depends on,
            normalisation apart.
        tail_reach: likewise of the tail's output.
    """

    channels: int
    peak_values: int
    frame: int
    head_reach: int
    tail_reach: int

    @property
    def style_size(self) -> int:
        """The length of a style's vector: 0 for a network that is itself of one style."""
        return 0

    def packed(self, framed: Tensor) -> Tensor:
        """Return framed images, shape (B, H, W, 3), in the form that the head takes.

        Returns:
            Values of the same type, shape (B, H', W', C).
        """
        return framed

    @abstractmethod
    def head(self, styles: Tensor) -> list[Stage]:
        """Return the stages that lead from packed RGB in [-1, 1] to a quarter of the resolution.

        Args:
            styles: the style of each image, or one for all, shape (B, style_size) or
                (1, style_size).
        """

    @abstractmethod
    def body(self, styles: Tensor) -> list[tuple[Stage, Stage]]:
        """Return the residual blocks, of two stages each, without a rectifier after the sum."""

    @abstractmethod
    def tail(self, styles: Tensor) -> list[Stage]:
        """Return the stages that lead back towards the full resolution."""

    @abstractmethod
    def finish(self, x: Tensor) -> Tensor:
        """Return RGB in blocks, to be clipped to [0, 1], of what the tail has made.

        Returns:
            Shape (B, 3 STRIDE^2, H / STRIDE, W / STRIDE), as `unpacked` takes it.
        """

    def transform(self, packed: Tensor, styles: Tensor, normalize: Normalize) -> Tensor:
        """Return RGB in blocks; it may go on beyond the image to the right and the bottom.

        Args:
            packed: RGB in [0, 1], of framed images, shape (B, C, H', W').
            styles: as in `head`.
            normalize: is called for every stage, in their order.
        """
        x = rectified(self.head(styles), 2 * packed - 1, normalize)
        for first, second in self.body(styles):
            between = rectified([first], x, normalize)
            x = x + normalize(second, second.convolve(between))
        return self.finish(rectified(self.tail(styles), x, normalize))

    def forward(self, images: Tensor, styles: Tensor) -> Tensor:
        """Return the stylised images.

        Args:
            images: RGB in [0, 1], shape (B, 3, H, W), each side at least
                `stylebeam.transforms.networks.MIN_SIDE`.
            styles: as in `head`.

        Returns:
            RGB of the same shape, to be clipped to [0, 1].
        """
        height, width = images.shape[-2:]
        packed = self.packed(framed(images, self.frame).permute(0, 2, 3, 1))
        made = self.transform(packed.permute(0, 3, 1, 2), styles, normalize_by_itself)
        stylized = unpacked(made.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        first = self.frame
        return stylized[..., first : first + height, first : first + width]


def unpacked(made: Tensor) -> Tensor:
    """Return RGB in blocks, shape (B, H, W, 3 STRIDE^2), as images, shape (B, STRIDE H, ..., 3)."""
    return pixels_of_blocks(made, STRIDE)


def framed(images: Tensor, frame: int) -> Tensor:
    """Return images, shape (B, C, H, W), with a frame around them, of whole blocks in all."""
    reflected = F.pad(images, [frame] * 4, mode="reflect")
    height, width = reflected.shape[-2:]
    return F.pad(reflected, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
