"""The color loss against known answers."""

import pytest
import torch

from stylebeam.transforms.losses import color
from stylebeam.transforms.losses.color import color_loss, sample_colors

AXES = torch.eye(3)


def noise(seed: int, side: int = 128) -> torch.Tensor:
    return torch.rand(3, side, side, generator=torch.Generator().manual_seed(seed))


def test_an_image_has_no_distance_from_its_own_colors_wherever_they_are() -> None:
    image = noise(0, side=64)  # small enough that every pixel is compared
    assert color_loss(image[None], [sample_colors(image)], AXES) == 0
    turned = image.flip(1, 2)
    assert color_loss(turned[None], [sample_colors(image)], AXES) < 1e-9


def test_a_shift_of_a_channel_counts_as_its_square() -> None:
    """Along the three axes, at every scale: one axis of three is apart by a quarter."""
    image = noise(1) / 2
    shifted = image.clone()
    shifted[1] += 0.25
    loss = color_loss(shifted[None], [sample_colors(image)], AXES)
    assert loss == pytest.approx(0.25**2 / 3, rel=1e-4)


def test_large_forms_count_at_coarse_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkerboard of single pixels has the colors of halves, but not their mean colors."""
    # Every other pixel of a checkerboard would have the same color.
    monkeypatch.setattr(color, "_LARGEST_SAMPLE", 128**2)
    rows, columns = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    checkerboard = ((rows + columns) % 2).float().expand(3, -1, -1)
    halves = (columns >= 64).float().expand(3, -1, -1)
    # At the finest scale both are half black and half white; at the others all squares of one are
    # gray, which is a half away from black and from white.
    loss = color_loss(checkerboard[None], [sample_colors(halves)], AXES)
    assert loss == pytest.approx((0 + 0.25 + 0.25) / 3)


def test_images_have_targets_of_their_own_and_of_any_size() -> None:
    light, dark = torch.full((3, 160, 128), 0.75), torch.full((3, 300, 130), 0.25)
    images = torch.stack([torch.full((3, 128, 128), value) for value in (0.75, 0.25)])
    targets = [sample_colors(light), sample_colors(dark)]
    assert color_loss(images, targets, AXES) < 1e-9
    assert color_loss(images.flip(0), targets, AXES) == pytest.approx(0.25)


def test_a_descent_gives_an_image_the_colors() -> None:
    target = sample_colors(noise(2).pow(3))
    image = torch.full((1, 3, 128, 128), 0.5) + 0.1 * noise(3)
    image.requires_grad_()
    optimizer = torch.optim.Adam([image], lr=0.02)
    first = color_loss(image, [target], AXES).item()
    for _ in range(60):
        optimizer.zero_grad()
        color_loss(image, [target], AXES).backward()
        optimizer.step()
    assert color_loss(image, [target], AXES).item() < 0.05 * first
