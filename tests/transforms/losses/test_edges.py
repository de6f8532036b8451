"""The differentiable Canny detector on shapes with known edges."""

import pytest
import torch

from stylebeam.transforms.losses.edges import canny_edges


def vertical_step(height: float = 1.0, at: int = 8, size: int = 16) -> torch.Tensor:
    image = torch.zeros(1, 1, size, size)
    image[..., at:] = height
    return image


def test_a_step_is_one_line_at_the_step() -> None:
    edges = canny_edges(vertical_step())[0, 0]
    assert (edges[:, 7:9] > 0.99).all()  # A step lies between two pixels.
    assert (edges[:, :7] < 0.01).all()
    assert (edges[:, 9:] < 0.01).all()


@pytest.mark.parametrize(("height", "offset"), [(0.001, 0.5), (300.0, -100.0)])
def test_the_thresholds_are_relative_to_the_map(height: float, offset: float) -> None:
    scaled = canny_edges(vertical_step() * height + offset)
    torch.testing.assert_close(scaled, canny_edges(vertical_step()), atol=2e-3, rtol=0)


def test_a_constant_map_has_no_edges() -> None:
    for image in (torch.zeros(1, 2, 9, 7), torch.full((2, 1, 1, 1), 5.0)):
        assert (canny_edges(image) < 1e-3).all()
        assert canny_edges(image).shape == image.shape


def test_a_discs_edge_is_its_outline() -> None:
    rows = torch.arange(64.0) - 31.5
    radius = (rows[:, None] ** 2 + rows**2).sqrt()
    edges = canny_edges((radius < 20).float()[None, None])[0, 0]
    assert (edges[(radius < 17) | (radius > 23)] < 0.01).all()
    # The outline has no gaps.
    for angle in torch.arange(0, 6.28, 0.1):
        along = torch.arange(17, 23, 0.25)[:, None] * torch.stack([angle.cos(), angle.sin()])
        y, x = (along + 31.5).round().long().T
        assert edges[y, x].max() > 0.9


def test_a_weak_edge_counts_where_it_continues_a_strong_one() -> None:
    fading = torch.linspace(1, 0.15, 20)
    image = torch.zeros(1, 1, 32, 64)
    image[..., 8:, :20] = fading
    image[..., 8:, 20:28] = 0.15
    image[..., 24:, 40:] = 0.15  # As weak, on its own.
    edges = canny_edges(image)[0, 0]
    assert (edges[7:9, :23].amax(0) > 0.5).all()
    assert (edges[20:28, 45:] < 0.1).all()


def test_maps_are_independent() -> None:
    maps = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    together = canny_edges(maps)
    torch.testing.assert_close(together[1:, 2:], canny_edges(maps[1:, 2:]))


def test_gradient_descent_moves_an_edge_to_its_target() -> None:
    places = torch.arange(24.0).expand(1, 1, 24, 24)
    target = canny_edges(torch.sigmoid(places - 12.0))
    at = torch.tensor(11.3, requires_grad=True)
    optimizer = torch.optim.Adam([at], lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        ((canny_edges(torch.sigmoid(places - at)) - target) ** 2).sum().backward()
        optimizer.step()
    assert at.item() == pytest.approx(12.0, abs=0.2)


def test_the_gradient_is_finite_everywhere() -> None:
    generator = torch.Generator().manual_seed(0)
    for image in (torch.zeros(1, 1, 8, 8), torch.rand(2, 3, 9, 11, generator=generator)):
        image.requires_grad_()
        canny_edges(image).sum().backward()
        assert torch.isfinite(image.grad).all()
