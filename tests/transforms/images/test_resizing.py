"""Processing at a smaller size: what comes back has the photo's size and its fine detail."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from stylebeam.transforms.images import resizing
from stylebeam.transforms.images.quality import psnr
from stylebeam.transforms.images.resizing import enlarge_like, reduced_to

SAMPLE = Path(__file__).parents[3] / "samples" / "photos" / "colosseum.jpg"


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    """Pixels, shape (3, H, W), whose sides are no multiples of each other."""
    with Image.open(SAMPLE) as image:
        return pil_to_tensor(image.convert("RGB").crop((0, 0, 701, 523)))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_a_reduced_photo_has_its_means(photo: torch.Tensor, dtype: torch.dtype) -> None:
    pixels = photo if dtype == torch.uint8 else (photo.int() * 257).to(torch.uint16)
    reduced = reduced_to(pixels, 100)
    assert reduced.dtype == dtype
    assert reduced.shape == (3, 100, round(701 / 523 * 100))
    means = [values.to(torch.float64).mean((1, 2)) for values in (pixels, reduced)]
    torch.testing.assert_close(means[0], means[1], rtol=5e-3, atol=0)


def enlarged(pixels: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Enlarge without a photo's help."""
    return F.interpolate(pixels[None] / 255, like.shape[1:], mode="bicubic").clamp(0, 1)


def test_what_follows_the_photo_gets_its_detail(photo: torch.Tensor) -> None:
    """A "style" that makes the photo darker and blue has the photo's edges."""
    tone = torch.tensor([0.4, 0.6, 0.9])[:, None, None]
    reduced = reduced_to(photo, 130)
    stylized, aim = ((tone * pixels).round().byte() for pixels in (reduced, photo))
    made = enlarge_like(stylized, reduced, photo)
    assert made.shape == photo.shape
    soft = psnr(enlarged(stylized, photo), aim[None] / 255)
    assert psnr(made[None] / 255, aim[None] / 255) > soft + 3


def test_what_goes_its_own_way_is_left_alone(photo: torch.Tensor) -> None:
    reduced = reduced_to(photo, 130)
    generator = torch.Generator().manual_seed(0)
    strokes = torch.randint(0, 256, (3, 8, 11), generator=generator, dtype=torch.uint8)
    strokes = F.interpolate(strokes[None].float(), reduced.shape[1:], mode="bicubic")[0]
    stylized = strokes.clamp(0, 255).round().byte()
    made = enlarge_like(stylized, reduced, photo)
    assert psnr(made[None] / 255, enlarged(stylized, photo)) > 28
    gray = torch.full_like(reduced, 90)
    assert (enlarge_like(gray, reduced, photo) == 90).all()


def test_no_strength_is_the_photo(photo: torch.Tensor) -> None:
    reduced = reduced_to(photo, 130)
    assert torch.equal(enlarge_like(255 - reduced, reduced, photo, strength=0.0), photo)


def test_bands_are_parts_of_the_whole(photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    reduced = reduced_to(photo, 77)
    whole = enlarge_like(255 - reduced, reduced, photo)
    monkeypatch.setattr(resizing, "_PIXELS_AT_ONCE", 701 * 13)
    parts = enlarge_like(255 - reduced, reduced, photo)
    assert (parts.int() - whole.int()).abs().max() <= 1


def test_16_bits_stay_16_bits(photo: torch.Tensor) -> None:
    deep = (photo.int() * 257).to(torch.uint16)
    reduced = reduced_to(deep, 130)
    made = enlarge_like(reduced, reduced, deep)
    assert made.dtype == torch.uint16
    shallow = enlarge_like(reduced_to(photo, 130), reduced_to(photo, 130), photo)
    assert (made.int() / 257 - shallow).abs().max() < 4
