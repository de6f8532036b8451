"""Color preservation, compared with the paper's equations in NumPy and with closed forms."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stylebeam.transforms.images.color import (
    KeptColors,
    keep_colors,
    luminance,
    match_colors,
    match_luminance,
    to_gray,
    with_colors_of,
)

# From RGB to Y, I and Q (FCC 1953), with the usual four digits.
YIQ = torch.tensor(
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]],
    dtype=torch.float64,
)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def muted(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return correlated channels with different means and variances, never clipped to [0, 1]."""
    mixing = random(3, 3, seed=99) / 15
    return torch.einsum("ij,bjhw->bihw", mixing, random(*shape, seed=seed)) + 0.4


def color(*rgb: float, size: int = 4) -> torch.Tensor:
    return torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1).repeat(1, 1, size, size)


def moments(images: torch.Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and covariance of the colors of one image."""
    [pixels] = images.flatten(2).double().numpy()
    return pixels.mean(1), np.cov(pixels, bias=True)


def root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    u, s, vt = np.linalg.svd(matrix)
    return u @ np.diag(np.sqrt(s)) @ vt


def test_luminance_of_the_primaries_is_their_weight() -> None:
    primaries = torch.eye(3, dtype=torch.float64).view(3, 3, 1, 1)
    expected = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64).view(3, 1, 1, 1)
    torch.testing.assert_close(luminance(primaries), expected, rtol=0, atol=1e-15)


def test_to_gray_has_the_luminance_in_every_channel() -> None:
    images = random(2, 3, 4, 5)
    expected = torch.einsum("c,bchw->bhw", YIQ[0], images)
    for channel in to_gray(images).unbind(1):
        torch.testing.assert_close(channel, expected)


def test_white_is_exactly_1() -> None:
    white = torch.ones(1, 3, 2, 2)
    assert torch.equal(to_gray(white), white)


def test_luminance_and_chroma_are_combined_where_the_color_exists() -> None:
    images, photos = 0.4 + 0.2 * random(2, 3, 6, 7), 0.4 + 0.2 * random(2, 3, 6, 7, seed=1)
    result = torch.einsum("ij,bjhw->bihw", YIQ, with_colors_of(images, photos))
    y, _ = torch.einsum("ij,bjhw->bihw", YIQ, images).split([1, 2], 1)
    _, iq = torch.einsum("ij,bjhw->bihw", YIQ, photos).split([1, 2], 1)
    torch.testing.assert_close(result[:, :1], y, rtol=0, atol=1e-12)
    torch.testing.assert_close(result[:, 1:], iq, rtol=0, atol=1e-4)


def test_a_bright_red_keeps_its_luminance_and_loses_saturation() -> None:
    # Red is 0.701 above its luminance, but only 0.1 is left above the image's luminance.
    rest = 0.9 - 0.299 * 0.1 / 0.701
    result = with_colors_of(color(0.9, 0.9, 0.9), color(1, 0, 0))
    torch.testing.assert_close(result, color(1, rest, rest))


def test_a_dark_yellow_keeps_its_luminance_and_loses_saturation() -> None:
    # The blue of yellow is 0.886 below its luminance, but only 0.1 is left below the image's.
    rest = 0.1 + 0.114 * 0.1 / 0.886
    result = with_colors_of(color(0.1, 0.1, 0.1), color(1, 1, 0))
    torch.testing.assert_close(result, color(rest, rest, 0))


def test_colors_outside_rgb_lose_as_little_saturation_as_possible() -> None:
    images, photos = random(2, 3, 40, 50), random(2, 3, 40, 50, seed=1)
    result = with_colors_of(images, photos)
    assert result.min() >= 0
    assert result.max() <= 1
    torch.testing.assert_close(luminance(result), luminance(images), rtol=0, atol=1e-12)

    chroma, target = result - luminance(result), photos - luminance(photos)
    share = (chroma * target).sum(1, keepdim=True) / target.square().sum(1, keepdim=True)
    torch.testing.assert_close(chroma, share * target, rtol=0, atol=1e-12)
    assert share.max() <= 1 + 1e-9
    kept = (share > 1 - 1e-9).squeeze(1)
    at_the_edge = (result.amin(1) < 1e-9) | (result.amax(1) > 1 - 1e-9)
    assert (kept | at_the_edge).all()
    assert 0.1 < kept.double().mean() < 0.9


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("photo", [(1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)])
def test_black_and_white_stay_without_color(value: float, photo: tuple[float, ...]) -> None:
    result = with_colors_of(color(value, value, value), color(*photo))
    torch.testing.assert_close(result, color(value, value, value), rtol=0, atol=1e-6)


def test_a_photo_with_its_own_colors_is_unchanged() -> None:
    photos = random(2, 3, 40, 50).float()
    photos[..., :10] = photos[..., :10].round()
    torch.testing.assert_close(with_colors_of(photos, photos), photos, rtol=0, atol=1e-6)


def test_colors_of_a_gray_photo_make_the_image_gray() -> None:
    images, photos = random(1, 3, 6, 7), random(1, 1, 6, 7, seed=1).repeat(1, 3, 1, 1)
    torch.testing.assert_close(with_colors_of(images, photos), to_gray(images))


def luminance_equation(styles: torch.Tensor, photos: torch.Tensor) -> NDArray[np.float64]:
    source, target = (np.tensordot(YIQ[0], of[0], 1) for of in (styles, photos))
    return target.std() / source.std() * (source - source.mean()) + target.mean()


def color_equation(styles: torch.Tensor, photos: torch.Tensor) -> NDArray[np.float64]:
    style_mean, style_covariance = moments(styles)
    photo_mean, photo_covariance = moments(photos)
    a = root(photo_covariance) @ np.linalg.inv(root(style_covariance))
    b = photo_mean - a @ style_mean
    return np.einsum("ij,jhw->ihw", a, styles[0]) + b[:, None, None]


@pytest.mark.parametrize(
    ("match", "equation"), [(match_luminance, luminance_equation), (match_colors, color_equation)]
)
@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_matching_follows_the_equation_of_the_paper(match, equation, dtype, error: float) -> None:
    styles, photos = random(1, 3, 30, 40) ** 2, muted(1, 3, 20, 10, seed=1)
    result = match(styles.to(dtype), photos.to(dtype))
    assert result.dtype == dtype
    assert result.shape == styles.shape
    expected = np.broadcast_to(equation(styles, photos), styles.shape[1:])
    np.testing.assert_allclose(result[0], expected, rtol=0, atol=error)


@pytest.mark.parametrize(
    ("match", "equation"), [(match_luminance, luminance_equation), (match_colors, color_equation)]
)
def test_matched_paintings_are_clipped(match, equation) -> None:
    styles, photos = random(1, 3, 30, 40), random(1, 1, 20, 10, seed=1).round()
    photos = photos.repeat(1, 3, 1, 1)
    expected = np.broadcast_to(equation(styles, photos), styles.shape[1:])
    assert expected.min() < 0
    assert expected.max() > 1
    np.testing.assert_allclose(match(styles, photos)[0], expected.clip(0, 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("levels", [255, 4])
def test_matched_colors_have_the_mean_and_covariance_of_the_photo(levels: int) -> None:
    photos = muted(1, 3, 20, 10, seed=1)
    result = match_colors(levels / 255 * random(1, 3, 30, 40), photos)
    for of_result, of_photo in zip(moments(result), moments(photos), strict=True):
        np.testing.assert_allclose(of_result, of_photo, rtol=1e-9, atol=0)


def test_matched_colors_do_not_depend_on_the_order_of_the_channels() -> None:
    styles, photos = muted(1, 3, 30, 40) ** 2, muted(1, 3, 20, 10, seed=1)
    order = [2, 0, 1]
    result = match_colors(styles[:, order], photos[:, order])
    torch.testing.assert_close(result, match_colors(styles, photos)[:, order])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_painting_matched_to_a_gray_photo_is_gray(dtype: torch.dtype) -> None:
    photos = to_gray(muted(1, 3, 20, 10, seed=1).to(dtype))
    result = match_colors(random(1, 3, 30, 40).to(dtype), photos)
    for of_result, of_photo in zip(moments(result), moments(photos), strict=True):
        np.testing.assert_allclose(of_result, of_photo, rtol=1e-5, atol=0)
    torch.testing.assert_close(result, to_gray(result), rtol=0, atol=2e-7)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_gray_painting_gets_a_single_tint(dtype: torch.dtype) -> None:
    gray, photos = random(1, 1, 30, 40).to(dtype), muted(1, 3, 20, 10, seed=1).to(dtype)
    mean, covariance = moments(photos)
    tint = root(covariance) @ np.full(3, 3**-0.5)
    standardized = ((gray - gray.mean()) / gray.std(correction=0))[0].double().numpy()
    result = match_colors(gray.repeat(1, 3, 1, 1), photos)
    expected = tint[:, None, None] * standardized + mean[:, None, None]
    np.testing.assert_allclose(result[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [1, 37])
def test_a_constant_painting_becomes_the_mean_of_the_photo(size: int) -> None:
    styles, photos = color(0.1, 0.7, 0.3, size=size), random(1, 3, 20, 10).float()
    mean = photos.mean((2, 3), keepdim=True)
    torch.testing.assert_close(match_colors(styles, photos), mean.expand_as(styles))
    luma = luminance(mean).expand_as(styles)
    torch.testing.assert_close(match_luminance(styles, photos), luma)


@pytest.mark.parametrize("size", [1, 37])
def test_a_painting_matched_to_a_constant_photo_is_constant(size: int) -> None:
    styles, photos = random(1, 3, 20, 10).float(), color(0.1, 0.7, 0.3, size=size)
    torch.testing.assert_close(
        match_colors(styles, photos), color(0.1, 0.7, 0.3, size=1).expand_as(styles)
    )
    luma = luminance(photos[..., :1, :1]).expand_as(styles)
    torch.testing.assert_close(match_luminance(styles, photos), luma)


@pytest.mark.parametrize("match", [match_colors, match_luminance])
def test_rounding_errors_of_a_constant_painting_are_not_amplified(match) -> None:
    styles, photos = (99.75 + random(1, 3, 30, 40)).round() / 255, random(1, 3, 20, 10, seed=1)
    assert styles.unique().numel() == 2
    result = match(styles, photos)
    torch.testing.assert_close(result, result[..., :1, :1].expand_as(styles), rtol=0, atol=1e-12)
    torch.testing.assert_close(luminance(result).mean(), luminance(photos).mean())


@pytest.mark.parametrize("match", [match_colors, match_luminance])
@pytest.mark.parametrize("paintings", [1, 3])
def test_images_of_a_batch_are_matched_independently(match, paintings: int) -> None:
    styles = random(paintings, 3, 30, 40)
    photos = torch.cat([muted(1, 3, 20, 10, seed=seed) ** (seed + 1) for seed in range(3)])
    result = match(styles, photos)
    assert result.shape == (3, 3, 30, 40)
    for style, photo, alone in zip(styles.expand(3, -1, -1, -1), photos, result, strict=True):
        torch.testing.assert_close(match(style[None], photo[None]), alone[None])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_a_picture_with_the_histogram_of_its_photo_has_its_mean_and_covariance(
    dtype: torch.dtype,
) -> None:
    # Taller than a band, and with colors away from the ends of the range, which clip nothing.
    white = 255 if dtype == torch.uint8 else 65_535
    generator = torch.Generator().manual_seed(1)
    picture, photo = (
        (white * (0.5 + 0.06 * torch.randn((3, 600, 50), generator=generator))).to(dtype)
        for _ in range(2)
    )
    photo[0] = (photo[0].float() * 0.5 + photo[1].float() * 0.5).to(dtype)
    kept = keep_colors(picture, photo, "histogram")
    assert (kept.dtype, kept.shape) == (dtype, picture.shape)
    of_kept, of_photo = (each.to(torch.int32).flatten(1).double() / white for each in (kept, photo))
    assert of_kept.mean(1).numpy() == pytest.approx(of_photo.mean(1).numpy(), abs=1e-3)
    assert torch.cov(of_kept).numpy() == pytest.approx(torch.cov(of_photo).numpy(), abs=1e-4)


def test_a_picture_with_the_luminance_of_its_style_has_the_chroma_of_its_photo() -> None:
    generator = torch.Generator().manual_seed(2)
    picture, photo = (
        torch.randint(0, 256, (3, 600, 20), generator=generator).to(torch.uint8) for _ in range(2)
    )
    expected = with_colors_of(picture[None] / 255, photo[None] / 255)[0]
    kept = keep_colors(picture, photo, "luminance")
    assert (kept - expected * 255).abs().max() <= 0.5 + 1e-3


@pytest.mark.parametrize("kept", ["luminance", "histogram"])
def test_the_picture_of_a_gray_photo_is_gray(kept: KeptColors) -> None:
    generator = torch.Generator().manual_seed(3)
    picture = torch.randint(0, 256, (3, 30, 20), generator=generator).to(torch.uint8)
    photo = torch.randint(0, 256, (1, 30, 20), generator=generator).to(torch.uint8).repeat(3, 1, 1)
    made = keep_colors(picture, photo, kept).int()
    assert (made.amax(0) - made.amin(0)).max() <= 1


def test_a_constant_picture_gets_the_mean_of_its_photo() -> None:
    photo = torch.randint(0, 256, (3, 30, 20), generator=torch.Generator().manual_seed(4))
    made = keep_colors(
        torch.full((3, 30, 20), 9, dtype=torch.uint8), photo.to(torch.uint8), "histogram"
    )
    assert (made.float() - photo.float().mean((1, 2), keepdim=True)).abs().max() <= 0.5 + 1e-3
