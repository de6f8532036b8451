"""Measures the grid artifact of upsampling: peaks in the spectrum at periods of 2 and 4 pixels.

python -m benchmarks.upsampling_grid sky.jpg transforms/weights/*.safetensors

Each style is applied to a constant gray image and to a photo, for example of a sky. The first row
is for the images themselves. The spectrum is the mean over many windows, so that a grid also counts
if its phase varies over the image. The result is the largest ratio between the power at a frequency
of the grid and the median power around it: about 1 without a grid.
"""

import argparse
import itertools
from pathlib import Path

import torch
from torch import Tensor

from stylebeam.transforms.checkpoints import parse_checkpoint
from stylebeam.transforms.hardware.devices import choose_device
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer
from stylebeam.transforms.networks import STYLE_NETWORK_NAMES
from stylebeam.transforms.training.data import read_style_image

_SIDE = 512
_PERIOD = 4
_WINDOW = 48  # pixels
# The power around a frequency is that of the bins up to 4 away, without those up to 1 away.
_OUTER, _INNER = 4, 1
_STEP = 1 / 255


def grid_ratio(image: Tensor) -> float:
    """Return the largest ratio between the power at a grid frequency and the power around it.

    Args:
        image: luminance in [0, 1], shape (H, W).
    """
    power = _power(image.double())
    reach = torch.arange(-_OUTER, _OUTER + 1)
    far = (reach.abs()[:, None] > _INNER) | (reach.abs() > _INNER)
    ratios = []
    for row, column in itertools.product(range(0, _WINDOW, _WINDOW // _PERIOD), repeat=2):
        if row or column:
            around = power[(row + reach)[:, None] % _WINDOW, (column + reach) % _WINDOW]
            ratios.append((power[row, column] / around[far].median()).item())
    return max(ratios)


def _power(image: Tensor) -> Tensor:
    """Return the mean power of windows that overlap by half, shape (window, window)."""
    windows = image.unfold(0, _WINDOW, _WINDOW // 2).unfold(1, _WINDOW, _WINDOW // 2)
    centered = windows - windows.mean((2, 3), keepdim=True)
    hann = torch.hann_window(_WINDOW, dtype=image.dtype)
    hann = hann[:, None] * hann
    # Power below the noise of rounding to 8 bits does not count.
    rounding = _STEP**2 / 12 * hann.square().sum()
    return rounding + torch.fft.fft2(centered * hann).abs().square().mean((0, 1))


def main() -> None:
    """Print the ratios of all styles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    args = parser.parse_args()
    photo = read_style_image(args.photo, _SIDE)[0]
    images = {"constant gray": torch.full((3, _SIDE, _SIDE), 0.5), "photo": photo}
    print("style |", " | ".join(images))
    print("none |", " | ".join(f"{grid_ratio(image.mean(0)):.1f}" for image in images.values()))
    for path in args.checkpoints:
        checkpoint = parse_checkpoint(path.read_bytes())
        if checkpoint.network not in STYLE_NETWORK_NAMES:
            continue
        stylizer = FeedForwardStylizer(checkpoint, choose_device("auto"))
        for style in checkpoint.styles:
            ratios = []
            for image in images.values():
                pixels = (image * 255).round().byte()
                stylized = stylizer.stylize(pixels, 1.0, {style: 1.0}) / 255
                ratios.append(f"{grid_ratio(stylized.mean(0)):.1f}")
            print(f"{path.stem}: {style} |", " | ".join(ratios))


if __name__ == "__main__":
    main()
