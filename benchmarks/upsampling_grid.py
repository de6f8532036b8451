"""Looks for the grid that upsampling can leave: peaks in the spectrum at periods of 2 and 4 pixels.

    python benchmarks/upsampling_grid.py sky.jpg transforms/weights/*.safetensors

Each style is tried on flat grey and on a photograph, such as one of a sky; the photograph's own
spectrum comes first. The power is that of many windows, on average, so that a grid counts also if
it is brighter in one place and darker in another. A ratio is the power at a frequency of the grid
over the median power around that frequency, the largest of all: about 1 without a grid.
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
_AROUND, _BESIDE = 4, 1  # bins
_STEP = 1 / 255


def grid_ratio(image: Tensor) -> float:
    """Return how far the strongest frequency of a grid stands out.

    Args:
        image: luminance in [0, 1], shape (H, W).
    """
    power = _power(image.double())
    reach = torch.arange(-_AROUND, _AROUND + 1)
    far = (reach.abs()[:, None] > _BESIDE) | (reach.abs() > _BESIDE)
    ratios = []
    for row, column in itertools.product(range(0, _WINDOW, _WINDOW // _PERIOD), repeat=2):
        if row or column:
            around = power[(row + reach)[:, None] % _WINDOW, (column + reach) % _WINDOW]
            ratios.append((power[row, column] / around[far].median()).item())
    return max(ratios)


def _power(image: Tensor) -> Tensor:
    """Return the mean power of windows that overlap by half, shape (window, window)."""
    windows = image.unfold(0, _WINDOW, _WINDOW // 2).unfold(1, _WINDOW, _WINDOW // 2)
    centred = windows - windows.mean((2, 3), keepdim=True)
    hann = torch.hann_window(_WINDOW, dtype=image.dtype)
    hann = hann[:, None] * hann
    # What is below the noise of rounding to 8 bits is not in the picture.
    rounding = _STEP**2 / 12 * hann.square().sum()
    return rounding + torch.fft.fft2(centred * hann).abs().square().mean((0, 1))


def main() -> None:
    """Print the ratios of every style."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    args = parser.parse_args()
    photo = read_style_image(args.photo, _SIDE)[0]
    images = {"flat grey": torch.full((3, _SIDE, _SIDE), 0.5), "photograph": photo}
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
