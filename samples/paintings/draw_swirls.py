"""Draw swirls.jpg: a sample painting with strokes, palette and texture for style transfer.

Curved brush strokes follow the contour lines of a stream function, the sum of vortices and noise.
Broad strokes are drawn first and fine ones last. Each adds color and a relief of bristle marks. At
the end the relief is lit from the upper left, like thick paint.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]

# Pigments from dark to light. Each stroke uses one of them, so that colors stay unmixed.
PALETTE = np.array(
    [
        (22, 26, 66),  # indigo
        (16, 52, 98),  # prussian blue
        (10, 88, 108),  # deep teal
        (52, 138, 142),  # teal
        (206, 66, 36),  # vermilion
        (222, 138, 44),  # ochre
        (240, 190, 88),  # light ochre
        (248, 232, 196),  # cream
    ],
    dtype=np.float32,
)
# Center x and y, radius and strength of each vortex, in units of the picture's side.
VORTICES = [
    (0.30, 0.34, 0.17, 1.0),
    (0.74, 0.22, 0.11, -0.7),
    (0.70, 0.66, 0.15, 0.9),
    (0.20, 0.80, 0.11, -0.8),
    (0.95, 0.92, 0.10, -0.7),
]
# For each layer: the number of strokes, half their length and half their width, in pixels, for a
# side of 768 pixels.
LAYERS = [(1200, 54.0, 15.0), (2000, 42.0, 9.5), (2300, 30.0, 6.0), (1500, 19.0, 3.6)]


def noise(rng: np.random.Generator, cells: int, size: int) -> Array:
    """Return a smooth random field with about `cells` bumps along each side."""
    grid = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC))


def compose(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    """Return the direction of the strokes and their position in the palette, for each pixel."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    stream = 0.16 * y + 0.010 * noise(rng, 5, size)
    glow = np.zeros_like(x)
    for cx, cy, radius, strength in VORTICES:
        distance = ((x - cx) ** 2 + (y - cy) ** 2) / radius**2
        stream += 0.5 * strength * radius * np.log(distance + 0.15)
        glow = np.maximum(glow, np.exp(-1.1 * distance))
    down, right = np.gradient(stream)
    bands = np.sin(stream * 60.0 + noise(rng, 4, size))
    tone = 0.18 + 0.74 * glow + 0.16 * bands + 0.10 * noise(rng, 6, size)
    return np.arctan2(-right, down), tone.astype(np.float32)


def pigment(tone: Array | float) -> Array:
    """Return the pigment for a tone, where 0 is the darkest and 1 the lightest."""
    return np.take(PALETTE, np.multiply(tone, len(PALETTE)).astype(int), axis=0, mode="clip")


def paint(rng: np.random.Generator, size: int) -> Image.Image:
    """Paint every layer of strokes and return the lit picture."""
    angle, tone = compose(rng, size)
    turn_y, turn_x = np.gradient(np.unwrap(angle, axis=0))[0], np.gradient(np.unwrap(angle))[1]
    canvas = pigment(tone)
    relief = np.zeros((size, size), dtype=np.float32)
    for count, length, width in LAYERS:
        longest, wide = length * size / 768, max(width * size / 768, 1.0)
        for cy, cx in rng.integers(0, size, (count, 2)):
            cos, sin = np.cos(angle[cy, cx]), np.sin(angle[cy, cx])
            bend = turn_x[cy, cx] * cos + turn_y[cy, cx] * sin
            half = max(min(longest, 0.8 / (abs(bend) + 1e-6)), wide)
            bend = np.clip(bend, -0.8 / half, 0.8 / half)
            reach = int(half + wide) + 1
            top, left = max(cy - reach, 0), max(cx - reach, 0)
            box = np.s_[top : cy + reach, left : cx + reach]
            dy, dx = np.ogrid[top - cy : min(reach, size - cy), left - cx : min(reach, size - cx)]
            along = (dx * cos + dy * sin) / half
            across = (dy * cos - dx * sin - 0.5 * bend * (along * half) ** 2) / wide
            bristles = rng.standard_normal(int(1.1 * wide) + 4)
            hair = np.interp(across, np.linspace(-1.1, 1.1, bristles.size), bristles)
            ragged = np.abs(along) ** 3 * (1 + 0.25 * hair)
            cover = np.clip((1 - across**2 - ragged) * wide * 0.6, 0, 1)
            color = pigment(tone[cy, cx] + rng.laplace(0, 0.06)) + 6 * hair[..., None]
            color *= 1 + 0.06 * rng.standard_normal()
            canvas[box] += cover[..., None] * 0.92 * (color - canvas[box])
            ridge = wide * (0.12 * hair + 0.5 * across**2 + 0.2 * along)
            relief[box] += cover * (0.35 * relief[box] + ridge - relief[box])
    slope_y, slope_x = np.gradient(relief)
    light = np.clip(1 + 0.22 * np.tanh(slope_x + slope_y), 0.7, 1.3)
    return Image.fromarray(np.clip(canvas * light[..., None], 0, 255).round().astype(np.uint8))


def main() -> None:
    """Read the command line, paint the picture and save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="the JPEG file to write")
    parser.add_argument("--size", type=int, default=768, help="side of the picture in pixels")
    parser.add_argument("--seed", type=int, default=5, help="seed of the random numbers")
    arguments = parser.parse_args()
    picture = paint(np.random.default_rng(arguments.seed), arguments.size)
    picture.save(arguments.output, quality=90, optimize=True)


if __name__ == "__main__":
    main()
