"""Looks for the grid that upsampling can leave: peaks in the spectrum at periods of 2 and 4 pixels.

    python benchmarks/upsampling_grid.py sky.jpg transforms/weights/*.safetensors

Each style is tried on flat grey and on the middle of a photograph with a smooth part, such as a
sky. A ratio is the power at a frequency of the grid over the median power around that frequency;
without a grid it is that of noise, and the largest of 15 is about 5.
"""

import argparse
import itertools
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import center_crop

from transforms.checkpoints import parse_checkpoint
from transforms.devices import choose_device
from transforms.feed_forward import FeedForwardStylizer
from transforms.training.data import read_style_image

_SIDE = 512
_PERIOD = 4
_AROUND, _BESIDE = 12, 2  # bins
_STEP = 1 / 255


def grid_ratio(image: Tensor) -> float:
    """Return how far the strongest frequency of a grid stands out.

    Args:
        image: luminance, shape (side, side), the side a multiple of 4.

    Returns:
        The ratio; 0 for an image without any differences to be seen.
    """
    side = image.shape[-1]
    centred = image - image.mean()
    if centred.abs().max() < _STEP:
        return 0.0
    window = torch.hann_window(side, dtype=torch.float64)
    power = torch.fft.fft2(centred.double() * window[:, None] * window).abs().square()
    reach = torch.arange(-_AROUND, _AROUND + 1)
    far = (reach.abs()[:, None] > _BESIDE) | (reach.abs() > _BESIDE)
    ratios = []
    for row, column in itertools.product(range(0, side, side // _PERIOD), repeat=2):
        if row or column:
            around = power[(row + reach)[:, None] % side, (column + reach) % side]
            ratios.append((power[row, column] / around[far].median()).item())
    return max(ratios)


def main() -> None:
    """Print the ratios of every style."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    args = parser.parse_args()
    sky = center_crop(read_style_image(args.photo, _SIDE)[0], [_SIDE, _SIDE])
    images = {"flat grey": torch.full((3, _SIDE, _SIDE), 0.5), "photograph": sky}
    print("style | image | ratio")
    for path in args.checkpoints:
        checkpoint = parse_checkpoint(path.read_bytes())
        stylizer = FeedForwardStylizer(checkpoint, choose_device("auto"))
        for style, (name, image) in itertools.product(checkpoint.styles, images.items()):
            pixels = (image * 255).round().byte()
            stylized = stylizer.stylize(pixels, 1.0, {style: 1.0}) / 255
            print(f"{path.stem}: {style} | {name} | {grid_ratio(stylized.mean(0)):.1f}")


if __name__ == "__main__":
    main()
