"""Reduced photos, and stylized images enlarged with the photo's detail."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from stylebeam.transforms.evaluation.metrics import psnr
from stylebeam.transforms.images.resizing import enlarge_like, reduced_to

SAMPLE = Path(__file__).parents[3] / "samples" / "photos" / "colosseum.jpg"


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    """Pixels, shape (3, H, W), with sides that share no factor."""
    with Image.open(SAMPLE) as image:
        return pil_to_tensor(image.convert("RGB").crop((0, 0, 701, 523)))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_a_reduced_photo_keeps_its_mean(photo: torch.Tensor, dtype: torch.dtype) -> None:
    pixels = photo if dtype == torch.uint8 else (photo.int() * 257).to(torch.uint16)
    reduced = reduced_to(pixels, 100)
    assert reduced.dtype == dtype
    assert reduced.shape == (3, 100, round(701 / 523 * 100))
    means = [values.to(torch.float64).mean((1, 2)) for values in (pixels, reduced)]
    torch.testing.assert_close(means[0], means[1], rtol=5e-3, atol=0)


def enlarged(pixels: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Enlarge without the photo's detail."""
    return F.interpolate(pixels[None] / 255, like.shape[1:], mode="bicubic").clamp(0, 1)


def test_an_image_that_follows_the_photo_gets_its_detail(photo: torch.Tensor) -> None:
    """A style that makes the photo darker and bluer has the photo's edges."""
    tone = torch.tensor([0.4, 0.6, 0.9])[:, None, None]
    reduced = reduced_to(photo, 130)
    stylized, target = ((tone * pixels).round().byte() for pixels in (reduced, photo))
    result = enlarge_like(stylized, reduced, photo)
    assert result.shape == photo.shape
    soft = psnr(enlarged(stylized, photo), target[None] / 255)
    assert psnr(result[None] / 255, target[None] / 255) > soft + 3


def test_an_image_unrelated_to_the_photo_gets_no_detail(photo: torch.Tensor) -> None:
    reduced = reduced_to(photo, 130)
    generator = torch.Generator().manual_seed(0)
    strokes = torch.randint(0, 256, (3, 8, 11), generator=generator, dtype=torch.uint8)
    strokes = F.interpolate(strokes[None].float(), reduced.shape[1:], mode="bicubic")[0]
    stylized = strokes.clamp(0, 255).round().byte()
    result = enlarge_like(stylized, reduced, photo)
    assert psnr(result[None] / 255, enlarged(stylized, photo)) > 28
    gray = torch.full_like(reduced, 90)
    assert (enlarge_like(gray, reduced, photo) == 90).all()


def test_strength_0_returns_the_photo(photo: torch.Tensor) -> None:
    reduced = reduced_to(photo, 130)
    assert torch.equal(enlarge_like(255 - reduced, reduced, photo, strength=0.0), photo)


def test_bands_of_a_large_photo_have_no_seams(photo: torch.Tensor) -> None:
    """The photo is enlarged in horizontal bands; its transpose is too, with bands elsewhere."""
    large = F.interpolate(photo[None], (1403, 1601), mode="bilinear")[0]
    reduced = reduced_to(large, 77)
    enlarged = enlarge_like(255 - reduced, reduced, large)
    transposed = enlarge_like(255 - reduced.mT, reduced.mT, large.mT)
    assert (transposed.mT.int() - enlarged.int()).abs().max() <= 1


def test_16_bits_are_kept(photo: torch.Tensor) -> None:
    deep = (photo.int() * 257).to(torch.uint16)
    reduced = reduced_to(deep, 130)
    result = enlarge_like(reduced, reduced, deep)
    assert result.dtype == torch.uint16
    shallow = enlarge_like(reduced_to(photo, 130), reduced_to(photo, 130), photo)
    assert (result.int() / 257 - shallow).abs().max() < 4
